// SPDX-License-Identifier: Apache-2.0

// Summarize reduces records to numbers, and the records of a benchmark run to a verdict.
//
// Without a subcommand it groups records and prints count, mean, spread and percentiles of the fields asked for. Rank
// reads what scripts/bench-compressors.sh has measured and says which swap compressor this host should use, and how sure
// that is. Every interval and test of the suite is made here and nowhere else.
package main

import (
	"context"
	"io"
	"os"

	"memline/internal/cli"
	"memline/internal/record"
)

const examples = `Examples:
  mempressure 256M --pageout --readback random | summarize -f thread_cpu_ns,p99_ns -g phase
  summarize -f wall_ns -g labels.algorithm -g phase -p 50,99.9 results/*/records.ndjson
  summarize rank results/20260101T120000Z-1/records.ndjson
  summarize rank --emit zram-generator records.ndjson >/etc/systemd/zram-generator.conf`

type options struct {
	cli.Common
	cli.Timed
	cli.Tabled

	Stats statsOptions `cmd:"" default:"withargs" help:"Count, mean, spread and percentiles of fields by group."`
	Rank  rankOptions  `cmd:"" help:"From the records of a benchmark run to the best compressor, with a verdict for each."`
}

type statsOptions struct {
	Files      []string     `arg:"" optional:"" name:"file" help:"Records to read, - for standard input, which is also the default." json:"-"`
	Fields     []string     `name:"field" short:"f" required:"" placeholder:"KEY" help:"Field to summarize; repeatable." json:"fields"`
	Groups     []string     `name:"group" short:"g" placeholder:"KEY" help:"Key to group by, labels.NAME for a label; repeatable." json:"groups"`
	Percentile []percentile `short:"p" default:"50,90,99" placeholder:"P" help:"Percentiles to print, nearest rank." json:"percentiles"`
}

type rankOptions struct {
	Files          []string     `arg:"" name:"file" help:"Records of one run, or of several runs on the same host; - for standard input." json:"-"`
	ReadbackFactor float64      `default:"1" placeholder:"F" help:"Pages read back for each page swapped out, in the score." json:"readback_factor"`
	MinEffect      percent      `default:"10%" placeholder:"P%" help:"Smallest difference of scores that matters." json:"min_effect"`
	Default        string       `placeholder:"NAME" help:"What to compare with; otherwise the kernel's own default, lz4 for user-space codecs." json:"default"`
	MaxP99         cli.Duration `name:"max-p99" placeholder:"DURATION" help:"Veto candidates whose 99th percentile of a read-back is longer." json:"max_p99"`
	Emit           string       `placeholder:"FORM" enum:",zram-generator,sysctl,env" default:"" help:"Print the settings to use instead: zram-generator, sysctl or env." json:"emit"`
}

var events = append([]record.Event{
	{Name: "start", Doc: "first line: the command, its options and the host it runs on", Fields: start{}},
	{Name: "summary", Doc: "one field of one group", Fields: summary{}, Pattern: percentilePattern},
	{Name: "input", Doc: "what was read, after everything else", Fields: tally{}},
	{Name: "candidate", Doc: "one compressor or codec of a ranking, best first", Fields: candidateRecord{}},
	{Name: "ranking", Doc: "the verdict on one pattern's candidates", Fields: rankingRecord{}},
}, record.Common()...)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var o options
	var command string
	return cli.Run(ctx, cli.Tool{
		Name:     "summarize",
		Summary:  "Reduce records to numbers, and a benchmark run to a verdict.",
		Examples: examples,
		Events:   events,
		Options:  &o,
		Validate: func() error { return o.validate(command) },
		Command:  func(c string) { command = c },
	}, args, stdin, stdout, stderr, func(ctx context.Context, env *cli.Env) error {
		return work(ctx, env, command, &o)
	})
}
