// SPDX-License-Identifier: Apache-2.0

// Mempressure fills memory with pages of a known kind, and measures what it costs to have them swapped out and back.
//
// Each phase is one result record; the content of every page can be verified at the end.
package main

import (
	"context"
	"io"
	"os"

	"memline/internal/cli"
	"memline/internal/record"
)

const examples = `Examples:
  mempressure 1G                                      fill 1 GiB of mixed pages, at the machine's speed
  mempressure 128M --pattern text --pageout --readback random --verify
  mempressure 50% --hold 1m                           keep half of what is available for a minute
  mempressure 2G --memory-limit 512M --touch random   behind a fence of 512 MiB: only test memory swaps
  mempressure 4G --workers 2 --thp always --dry-run   the plan, and nothing else`

type options struct {
	cli.Common
	cli.Timed

	Size        cli.Size     `arg:"" help:"Memory to fill: 512M, 2G, or 25% of what is available." json:"size"`
	Pattern     string       `default:"mixed" placeholder:"NAME" help:"Content: zeros, same, sequential, random, text, pointers, mixed." json:"pattern"`
	Seed        uint64       `default:"1" placeholder:"N" help:"Seed of the content and of random orders." json:"seed"`
	Touch       string       `enum:"none,sequential,random" default:"none" placeholder:"ORDER" help:"After the fill, read each page once in this order, timed: sequential or random." json:"touch"`
	Hold        cli.Duration `placeholder:"DURATION" help:"Then hold the memory for this long." json:"hold"`
	Pageout     bool         `help:"Then have the kernel swap every page out." json:"pageout"`
	Readback    string       `enum:"none,sequential,random" default:"none" placeholder:"ORDER" help:"Then read each page back in this order, timed: sequential or random." json:"readback"`
	Verify      bool         `help:"At last compare every byte of every page." json:"verify"`
	Workers     int          `default:"1" placeholder:"N" help:"Threads, each on its own part of the memory." json:"workers"`
	THP         string       `name:"thp" enum:"never,always" default:"never" placeholder:"WHEN" help:"Huge pages for this memory: never or always." json:"thp_advice"`
	MemoryLimit cli.Size     `placeholder:"SIZE" help:"Put this process behind a cgroup limit, so that it swaps and nobody else does." json:"memory_limit"`
	Reserve     cli.Size     `placeholder:"SIZE" help:"Memory that must stay available; by default the larger of 5% of RAM and 500M." json:"reserve"`
	PauseAfter  []string     `placeholder:"PHASE" help:"After this phase emit ready and wait for a line on stdin; repeatable." json:"pause_after"`
	Wait        cli.Duration `placeholder:"DURATION" help:"Wait this long for the host lock instead of leaving with 75." json:"wait"`
	DryRun      bool         `help:"Print the plan and end; the exit status says whether it would be admitted now." json:"dry_run"`
}

var events = append([]record.Event{
	{Name: "start", Doc: "first line: options, host, and the plan with every size in bytes", Fields: start{}},
	{Name: "progress", Doc: "how far a phase has come, at most four times a second", Fields: record.Progress{}},
	{Name: "ready", Doc: "a phase is done and the run waits: for a line after --pause-after, or while --hold holds", Fields: ready{}},
	{Name: "result", Doc: "the fill", Fields: fillResult{}},
	{Name: "result", Doc: "one timed read of every page, resident (touch) or swapped out (readback)", Fields: touchResult{}},
	{Name: "result", Doc: "the hold", Fields: holdResult{}},
	{Name: "result", Doc: "swapping every page out", Fields: pageoutResult{}},
	{Name: "result", Doc: "comparing every byte", Fields: verifyResult{}},
	{Name: "histogram", Doc: "the distribution behind a result's quantiles, in parts", Fields: histogram{}},
	{Name: "mismatch", Doc: "a byte that is not what was written; an error follows", Fields: mismatch{}},
}, record.Common()...)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var o options
	return cli.Run(ctx, cli.Tool{
		Name:     "mempressure",
		Summary:  "Fill memory with known content; measure swapping it out and back.",
		Examples: examples,
		Events:   events,
		Options:  &o,
		Validate: func() error { return o.validate() },
	}, args, stdin, stdout, stderr, func(ctx context.Context, env *cli.Env) error {
		return work(ctx, env, &o)
	})
}
