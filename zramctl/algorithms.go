// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"memline/internal/exit"
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
var known = []string{"lzo-rle", "lzo", "lz4", "lz4hc", "zstd", "deflate", "842"}

// trialBytes is the size of the device that an algorithm is tried on.
const trialBytes = 1 << 20

// algorithms sets up a small device with each compressor, since only a trial tells.
func (s *session) algorithms(ctx context.Context, wait time.Duration) error {
	return s.locked(ctx, wait, func(c zram.Control, j *undo.Journal) error {
		owner, err := undo.Self(s.root)
		if err != nil {
			return err
		}
		offered, selected, err := s.offered(ctx, c, j, owner)
		if err != nil {
			return err
		}
		names := slices.Clone(offered)
		for _, name := range known {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		for _, name := range names {
			a := algorithm{Algorithm: name, Listed: slices.Contains(offered, name), Default: name == selected}
			err := s.try(ctx, c, j, owner, name)
			switch code, _ := exit.Code(err); {
			case err == nil:
				a.Works = true
			case code == exit.Unsupported:
				detail := err.Error()
				a.Detail = &detail
			default:
				return err
			}
			if !a.Listed && !a.Works {
				continue // neither the kernel nor the trial knows it
			}
			s.env.Emit("algorithm", a)
			if s.env.Table {
				fmt.Fprintf(s.env.Stdout, "%-10s works=%t default=%t\n", a.Algorithm, a.Works, a.Default)
			}
		}
		return nil
	})
}

// offered asks a fresh device, on which the selected compressor is the kernel's default.
func (s *session) offered(ctx context.Context, c zram.Control, j *undo.Journal, owner undo.Owner) (names []string, selected string, err error) {
	d, err := c.Create(ctx, j, owner, zram.Plan{SizeBytes: trialBytes})
	if err != nil {
		return nil, "", err
	}
	names, selected, err = d.Algorithms()
	if err != nil {
		return nil, "", err
	}
	change, err := d.Find(j)
	if err != nil {
		return nil, "", err
	}
	return names, selected, d.Destroy(ctx, change)
}

func (s *session) try(ctx context.Context, c zram.Control, j *undo.Journal, owner undo.Owner, name string) error {
	d, err := c.Create(ctx, j, owner, zram.Plan{SizeBytes: trialBytes, Algorithm: name})
	if err != nil {
		return err
	}
	change, err := d.Find(j)
	if err != nil {
		return err
	}
	return d.Destroy(ctx, change)
}
