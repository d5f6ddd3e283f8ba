// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"strings"

	"memline/internal/cli"
	"memline/internal/kernel"
)

// start is the first record: the command with the options that apply to it.
type start struct {
	cli.Start
	Command    string        `json:"command" doc:"the subcommand"`
	Stats      *statsOptions `json:"stats_options,omitempty" doc:"options of stats"`
	Rank       *rankOptions  `json:"rank_options,omitempty" doc:"options of rank"`
	InputCount int           `json:"input_count" doc:"files to read"`
	Inputs     []string      `json:"inputs" doc:"the first eight of them"`
}

// maxInputs bounds the start record's line.
const maxInputs = 8

func work(ctx context.Context, env *cli.Env, command string, o *options) error {
	files := &o.Stats.Files
	do := func() error { return stats(ctx, env, &o.Stats) }
	first := start{Start: env.Start(kernel.Root())}
	first.Command, _, _ = strings.Cut(command, " ")
	if first.Command == "rank" {
		files = &o.Rank.Files
		do = func() error { return rank(ctx, env, &o.Rank) }
		first.Rank = &o.Rank
	} else {
		first.Stats = &o.Stats
	}
	if len(*files) == 0 {
		*files = []string{"-"}
	}
	if err := checkStdin(*files, env.Stdin); err != nil {
		return err
	}
	first.InputCount, first.Inputs = len(*files), (*files)[:min(len(*files), maxInputs)]
	env.Emit("start", first)
	if err := checkFiles(*files); err != nil {
		return err
	}
	return do()
}
