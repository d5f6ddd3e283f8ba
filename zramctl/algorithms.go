// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"memline/internal/cli"
	"memline/internal/exit"
	"memline/internal/kernel"
	"memline/internal/undo"
	"memline/internal/zram"
)

// algorithm is one compressor of this kernel's zram.
type algorithm struct {
	Algorithm string  `json:"algorithm" doc:"the kernel's name"`
	Listed    bool    `json:"listed" doc:"the kernel lists it"`
	Works     bool    `json:"works" doc:"a device could be set up with it"`
	Default   bool    `json:"default" doc:"the kernel's own choice for a new device"`
	Detail    *string `json:"detail" doc:"why it does not work; null when it does"`
}

// known are the compressors that a zram may have. Kernels before 6.12 list only what is loaded, so the others are tried.
func known() []string { return []string{"lzo-rle", "lzo", "lz4", "lz4hc", "zstd", "deflate", "842"} }

// trialBytes is the size of the device that an algorithm is tried on.
const trialBytes = 1 << 20

// algorithms sets up a small device with each compressor, since only a trial tells.
func (s *session) algorithms(ctx context.Context, wait time.Duration) error {
	return s.locked(ctx, wait, func(c zram.Control, j *undo.Journal) error {
		trial, err := newTrial(ctx, c, j, s.root)
		if err != nil {
			return err
		}
		t := newTable("algorithm", "works", "default", "why not")
		for _, name := range trial.names() {
			a, err := trial.of(name)
			if err != nil {
				return err
			}
			if !a.Listed && !a.Works {
				continue // neither the kernel nor the trial knows it
			}
			s.env.Emit("algorithm", a)
			t.AppendRow(row(a.Algorithm, yes(a.Works), yes(a.Default), deref(a.Detail)))
		}
		return s.print(t)
	})
}

// trial tries compressors on devices of its own, which never outlive this process.
type trial struct {
	ctx      context.Context
	control  zram.Control
	journal  *undo.Journal
	owner    undo.Owner
	offered  []string // by the kernel
	selected string   // by the kernel, for a fresh device
}

func newTrial(ctx context.Context, c zram.Control, j *undo.Journal, root kernel.FS) (*trial, error) {
	owner, err := undo.EnvOwner(root) // restore waits for what is done for a dead script
	if err != nil {
		return nil, err
	}
	t := &trial{ctx: ctx, control: c, journal: j, owner: owner}
	return t, t.on("", func(d zram.Device) (err error) {
		t.offered, t.selected, err = d.Algorithms()
		return err
	})
}

// names are the compressors to try: the listed ones first.
func (t *trial) names() []string {
	names := slices.Clone(t.offered)
	for _, name := range known() {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// of tries one compressor.
func (t *trial) of(name string) (algorithm, error) {
	a := algorithm{Algorithm: name, Listed: slices.Contains(t.offered, name), Default: name == t.selected}
	err := t.on(name, func(zram.Device) error { return nil })
	switch code, _ := exit.Code(err); {
	case err == nil:
		a.Works = true
	case code == exit.Unsupported:
		detail := err.Error()
		a.Detail = &detail
	default:
		return a, err
	}
	return a, nil
}

// on makes a device with the compressor, lets f look at it, and takes it away.
func (t *trial) on(name string, f func(zram.Device) error) error {
	d, change, err := t.control.Make(t.ctx, t.journal, t.owner, zram.Plan{SizeBytes: trialBytes, Algorithm: name})
	if err != nil {
		return err
	}
	return errors.Join(f(d), d.Destroy(context.WithoutCancel(t.ctx), change), cli.Cause(t.ctx))
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return none
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
