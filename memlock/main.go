// SPDX-License-Identifier: Apache-2.0

// Memlock locks an amount of RAM and holds it, so that a test runs on a host with exactly as much memory as it should have.
//
// It says ready once the memory is locked, and gives it back on a signal, after --hold, or when its parent dies.
package main

import (
	"context"
	"io"
	"os"

	"memline/internal/cli"
	"memline/internal/record"
)

const examples = `Examples:
  memlock 4G                                   lock 4 GiB until a signal comes
  memlock --leave 2G --hold 10m                lock all but 2 GiB, for ten minutes
  memlock --for-test 256M --buffer 500M        lock what a test of 256 MiB and a buffer of 500 MiB leave over
  memlock --for-test 1G --dry-run | jq .lock_bytes`

type options struct {
	cli.Common
	cli.Timed

	Size       cli.Size     `arg:"" optional:"" help:"Memory to lock: 512M, 2G, or 25% of what is available." json:"size"`
	Leave      cli.Size     `placeholder:"SIZE" help:"Lock all that is available but this much." json:"leave"`
	ForTest    cli.Size     `placeholder:"SIZE" help:"Lock what is available less this much for a test, less --buffer; nothing where that is negative." json:"for_test"`
	Buffer     cli.Size     `placeholder:"SIZE" help:"With --for-test: what stays free beside the test; by default the larger of 5% of RAM and 500M." json:"buffer"`
	Hold       cli.Duration `placeholder:"DURATION" help:"Hold for this long and end with 0; without it until a signal." json:"hold"`
	BestEffort bool         `help:"Be ready with what could be locked where a limit or memory runs short." json:"best_effort"`
	Reserve    cli.Size     `placeholder:"SIZE" help:"With SIZE: memory that must stay available; by default as --buffer." json:"reserve"`
	DryRun     bool         `help:"Print the plan and end; the exit status says whether it would be admitted now." json:"dry_run"`
}

var events = append([]record.Event{
	{Name: "start", Doc: "first line: options, host, and the plan with every number in bytes", Fields: start{}},
	{Name: "progress", Doc: "how much is locked, at most four times a second", Fields: record.Progress{}},
	{Name: "ready", Doc: "the memory is locked", Fields: ready{}},
	{Name: "released", Doc: "the memory is free again", Fields: released{}},
}, record.Common()...)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var o options
	return cli.Run(ctx, cli.Tool{
		Name:     "memlock",
		Summary:  "Lock RAM and hold it, so that a test has exactly the memory it should have.",
		Examples: examples,
		Events:   events,
		Options:  &o,
		Validate: func() error { return o.validate() },
	}, args, stdin, stdout, stderr, func(ctx context.Context, env *cli.Env) error {
		return work(ctx, env, &o)
	})
}
