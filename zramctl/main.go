// SPDX-License-Identifier: Apache-2.0

// Zramctl provisions zram devices and swap on them, shows everything the kernel says about them, and puts the host back.
//
// It touches only devices that it made itself, each written to the undo journal before it is made.
package main

import (
	"context"
	"io"
	"os"
	"slices"
	"strings"

	"memline/internal/cli"
	"memline/internal/exit"
	"memline/internal/kernel"
	"memline/internal/record"
	"memline/internal/zram"
)

const examples = `Examples:
  zramctl status                                    every zram device, as a table on a terminal
  zramctl create --size 2G --algorithm lz4 --swap   a compressed swap device that stays until destroyed
  zramctl create --size 25% --swap --dry-run        the kernel writes it would make, in order
  zramctl algorithms | jq -r 'select(.works).algorithm'
  zramctl destroy zram1
  zramctl restore                                   undo what killed runs have left behind`

type options struct {
	cli.Common
	cli.Timed
	cli.Tabled

	Status     statusOptions     `cmd:"" default:"withargs" help:"Show devices: every counter, both ratios, owner."`
	Create     createOptions     `cmd:"" help:"Make a device, and swap on it with --swap."`
	Destroy    destroyOptions    `cmd:"" help:"Take devices that memline made out of use and remove them."`
	Compact    compactOptions    `cmd:"" help:"Make the device's pool give back fragmented memory."`
	Algorithms algorithmsOptions `cmd:"" help:"Find by trial which compressors this kernel's zram really has."`
	Restore    restoreOptions    `cmd:"" help:"Undo what dead owners left behind."`
}

type statusOptions struct {
	Devices []string `arg:"" optional:"" name:"device" help:"Devices to show; all by default." json:"devices"`
}

type createOptions struct {
	Size      cli.Size     `required:"" placeholder:"SIZE" help:"Uncompressed size: 2G, or 25% of RAM." json:"size"`
	Algorithm string       `short:"a" placeholder:"NAME" help:"Compressor; the kernel's default without it." json:"algorithm"`
	MemLimit  cli.Size     `placeholder:"SIZE" help:"Most memory the pool may take; writes beyond it fail." json:"mem_limit"`
	Swap      bool         `help:"Write a swap header and swap on." json:"swap"`
	Priority  int          `default:"100" help:"Swap priority, 0 to 32767; the highest is used first." json:"priority"`
	OwnerPID  int          `env:"MEMLINE_OWNER_PID" placeholder:"PID" help:"Process whose end makes the device fair game for restore; without it the device stays until destroyed." json:"owner_pid"`
	Wait      cli.Duration `placeholder:"DURATION" help:"Wait this long for the host lock instead of leaving with 75." json:"wait"`
	DryRun    bool         `help:"Print the ordered writes and end." json:"dry_run"`
}

type destroyOptions struct {
	Devices []string     `arg:"" name:"device" help:"Devices that memline made." json:"devices"`
	Wait    cli.Duration `placeholder:"DURATION" help:"Wait this long for the host lock instead of leaving with 75." json:"wait"`
}

type compactOptions struct {
	Device string `arg:"" help:"A device that memline made." json:"device"`
}

type algorithmsOptions struct {
	Wait cli.Duration `placeholder:"DURATION" help:"Wait this long for the host lock instead of leaving with 75." json:"wait"`
}

type restoreOptions struct {
	OwnerPID int          `placeholder:"PID" help:"Also undo what this living process owns: a script's own clean-up." json:"owner_pid"`
	Wait     cli.Duration `default:"10s" help:"Wait this long for a dying run to let go of the host lock." json:"wait"`
}

func (o *options) validate() error {
	switch c := o.Create; {
	case c.Size.IsZero():
		return exit.New(exit.Usage, "usage", "--size: 0 makes no device; give a size such as 2G or 25%%")
	case c.MemLimit.IsZero():
		return exit.New(exit.Usage, "usage", "--mem-limit: 0 is no limit; leave the option out")
	case c.Priority < 0 || c.Priority > zram.MaxPriority:
		return exit.New(exit.Usage, "usage", "--priority: %d is not between 0 and %d", c.Priority, zram.MaxPriority)
	case c.OwnerPID < 0 || o.Restore.OwnerPID < 0:
		return exit.New(exit.Usage, "usage", "--owner-pid: a process id is positive")
	}
	for _, name := range slices.Concat(o.Status.Devices, o.Destroy.Devices, []string{o.Compact.Device}) {
		if name == "" { // no compact
			continue
		}
		if _, err := zram.Number(name); err != nil {
			return err
		}
	}
	return nil
}

func events() []record.Event {
	return append([]record.Event{
		{Name: "start", Doc: "first line: the command, its options and the host", Fields: start{}},
		{Name: "device", Doc: "one zram device as the kernel shows it now", Fields: device{}},
		{Name: "write", Doc: "one step of a dry run, in the order that the kernel wants", Fields: zram.Step{}},
		{Name: "ready", Doc: "the device is set up, and swapped on where asked for", Fields: ready{}},
		{Name: "destroyed", Doc: "a device is gone", Fields: destroyed{}},
		{Name: "algorithm", Doc: "one compressor, found by setting up a device with it", Fields: algorithm{}},
		{Name: "undone", Doc: "one change of a dead owner was reversed, or could not be", Fields: undone{}},
		{Name: "difference", Doc: "something that is not as it was before the dead owner's first change", Fields: difference{}},
	}, record.Common()...)
}

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return runOn(ctx, kernel.Root(), args, stdin, stdout, stderr)
}

// runOn is run on the kernel below a root.
func runOn(ctx context.Context, root kernel.FS, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var o options
	var command string
	return cli.Run(ctx, cli.Tool{
		Name:     "zramctl",
		Summary:  "Provision zram devices and swap on them; undo everything.",
		Examples: examples,
		Events:   events(),
		Options:  &o,
		Validate: func() error { return o.validate() },
		Command:  func(c string) { command, _, _ = strings.Cut(c, " ") },
	}, args, stdin, stdout, stderr, func(ctx context.Context, env *cli.Env) error {
		return work(ctx, env, root, command, &o)
	})
}
