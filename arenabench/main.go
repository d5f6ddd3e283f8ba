// SPDX-License-Identifier: Apache-2.0

// Arenabench is the user-space compression laboratory: what codecs make of 4 KiB pages, and what that costs, without
// touching the host's swap.
package main

import (
	"context"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kong"

	"memline/internal/cli"
	"memline/internal/codec"
	"memline/internal/pages"
	"memline/internal/record"
)

const examples = `Examples:
  arenabench codecs                                   the default codecs on mixed pages, as a table on a terminal
  arenabench codecs --codec lz4,lz4hc,zstd --pattern text
  arenabench codecs -o ndjson | jq -r 'select(.event=="result") | [.codec, .codec_ratio, .page_compress_cpu_ns] | @tsv'
  arenabench codecs --size 5% --dry-run               the plan in bytes, nothing allocated`

type options struct {
	cli.Common
	cli.Timed
	cli.Tabled

	Codecs codecsOptions `cmd:"" help:"Compress pages with each codec and bring every one back: ratio and thread CPU."`
}

type codecsOptions struct {
	Codec   []string     `default:"${default_codecs}" help:"Codecs to measure, of: ${codecs}. The copy (raw) is always measured too, as the floor." json:"codec" doc:"codecs asked for"`
	Pattern string       `default:"mixed" help:"Content of the pages, as mempressure makes it: ${patterns}." json:"pattern" doc:"content of the pages"`
	Size    cli.Size     `default:"16M" help:"Data to compress: 64M, or 5% of MemAvailable. It takes twice that memory." json:"size"`
	Seed    uint64       `default:"1" help:"Seed of the pages: the same seed makes the same pages." json:"seed"`
	Passes  int          `default:"4" help:"Measured passes over the data, after a discarded one. Each second pass goes backwards through the codecs, so an even number favours none." json:"passes"`
	Reserve cli.Size     `placeholder:"SIZE" help:"Memory that must stay available; without it 5% of RAM and at least 500M." json:"reserve"`
	Wait    cli.Duration `placeholder:"DURATION" help:"Wait this long for the host lock instead of leaving with 75." json:"wait"`
	DryRun  bool         `help:"Print the plan and end." json:"dry_run"`
}

var events = append([]record.Event{
	{Name: "start", Doc: "first line: the options, the plan and the host", Fields: start{}},
	{Name: "progress", Doc: "how far a run has come", Fields: record.Progress{}},
	{Name: "sample", Doc: "one codec in one pass over the data", Fields: sample{}},
	{Name: "result", Doc: "one codec: its samples added up, and what follows from the sums", Fields: result{}},
}, record.Common()...)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var o options
	return cli.Run(ctx, cli.Tool{
		Name:     "arenabench",
		Summary:  "Compress memory in user space: ratio and CPU of codecs on 4 KiB pages.",
		Examples: examples,
		Events:   events,
		Options:  &o,
		Kong: []kong.Option{kong.Vars{
			"codecs":         strings.Join(codec.Names(), ", "),
			"default_codecs": strings.Join(codec.Default(), ","),
			"patterns":       strings.Join(pages.Names(), ", "),
		}},
		Validate: func() error { return o.Codecs.validate() },
	}, args, stdin, stdout, stderr, func(ctx context.Context, env *cli.Env) error {
		return codecs(ctx, env, o.Codecs)
	})
}
