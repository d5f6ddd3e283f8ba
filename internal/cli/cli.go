// SPDX-License-Identifier: Apache-2.0

// Package cli is the shell around every tool: options, signals, time limit, record stream, exit code.
//
// A tool hands Run its kong struct and a function that does the work; Run parses, opens the stream, calls the work, and
// turns its error into the error and end records, one line on stderr, and the exit code.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"memline/internal/exit"
	"memline/internal/kernel"
	"memline/internal/record"
)

// version is set by the linker (Makefile).
var version = "devel"

// Tool describes a program to Run.
type Tool struct {
	Name     string
	Summary  string // one sentence
	Examples string // the first thing --help shows
	Events   []record.Event
	Options  any            // pointer to the kong struct, with Common embedded
	Kong     []kong.Option  // more for the parser, such as variables
	Validate func() error   // what kong cannot check about the options; its error is a usage error
	Command  func(c string) // told the chosen subcommand, where the tool has any
}

// Common are the options that every tool has. Embed it anonymously.
type Common struct {
	Label   []string `help:"Attach KEY=VALUE to every record; repeatable. MEMLINE_LABELS=K=V,K=V does the same." placeholder:"K=V" sep:"none" json:"-"`
	RunID   string   `help:"Name of the run that this process belongs to." env:"MEMLINE_RUN_ID" placeholder:"ID" json:"-"`
	Schema  bool     `help:"Print the JSON Schema of the records and exit." json:"-"`
	Version bool     `help:"Print the version and exit." json:"-"`
	Quiet   bool     `help:"Nothing on stderr but errors." short:"q" json:"-"`
	Verbose bool     `help:"Decisions with timestamps on stderr; MEMLINE_DEBUG=1 does the same." short:"v" json:"-"`
}

func (c *Common) common() *Common { return c }

// Timed adds --timeout to a tool that can run long.
type Timed struct {
	Timeout Duration `help:"Give up after this time, clean up and exit with 124." placeholder:"DURATION" json:"timeout"`
}

func (t *Timed) limit() time.Duration { return t.Timeout.Duration }

// Tabled adds -o to a tool that can also speak to people.
type Tabled struct {
	Output string `help:"Form of the output: a table, or records (ndjson); auto is a table on a terminal." short:"o" enum:"auto,table,ndjson" default:"auto" json:"output"`
}

func (t *Tabled) table(terminal bool) bool {
	return t.Output == "table" || t.Output == "auto" && terminal
}

// Env is what the work gets of its process.
type Env struct {
	*record.Stream
	Stdin  io.Reader
	Stdout io.Writer // for tables only; records go through the stream
	Stderr io.Writer
	Table  bool   // people read stdout: print a table, the records go nowhere
	Lost   uint64 // measurements lost, for the end record

	tool     Tool
	options  *Common
	terminal bool // stderr is one
}

// Start is the part of a start record that every tool shares. Embed it first.
type Start struct {
	record.Start
	kernel.Host
}

// Start gathers the shared part of the start record.
func (e *Env) Start(fs kernel.FS) Start {
	return Start{record.Start{V: record.Version, Version: version, PID: os.Getpid()}, fs.Host()}
}

// Warn writes a warning record and, for people, the same on stderr.
func (e *Env) Warn(reason, format string, args ...any) {
	detail := fmt.Sprintf(format, args...)
	e.Emit("warning", record.Note{Reason: reason, Detail: detail})
	if !e.options.Quiet && (e.terminal || e.Table) {
		fmt.Fprintf(e.Stderr, "%s: warning: %s\n", e.tool.Name, detail)
	}
}

// Debugf writes a decision with its time on stderr, under --verbose or MEMLINE_DEBUG=1.
func (e *Env) Debugf(format string, args ...any) {
	if e.options.Verbose || os.Getenv("MEMLINE_DEBUG") == "1" {
		fmt.Fprintf(e.Stderr, "%s %s: %s\n", time.Now().UTC().Format("15:04:05.000000"), e.tool.Name, fmt.Sprintf(format, args...))
	}
}

// Run is the life of a tool's process but for os.Exit; it returns the exit code.
func Run(ctx context.Context, tool Tool, args []string, stdin io.Reader, stdout, stderr io.Writer,
	work func(context.Context, *Env) error) int {
	common := tool.Options.(interface{ common() *Common }).common()
	code, done := parse(tool, common, args, stdout, stderr)
	if done {
		return code
	}
	labels, err := parseLabels(append(splitLabels(os.Getenv("MEMLINE_LABELS")), common.Label...))
	if err != nil {
		return usage(stderr, tool.Name, fmt.Errorf("--label: %w", err))
	}

	ctx, stop := interruptible(ctx, stdout)
	defer stop(nil)
	if t, ok := tool.Options.(interface{ limit() time.Duration }); ok && t.limit() > 0 {
		timer := time.AfterFunc(t.limit(), func() {
			stop(exit.New(exit.Timeout, "timeout", "--timeout %s ran out", t.limit()))
		})
		defer timer.Stop()
	}

	env := &Env{Stdin: stdin, Stdout: stdout, Stderr: stderr, tool: tool, options: common, terminal: isTerminal(stderr)}
	records := stdout
	if t, ok := tool.Options.(interface{ table(bool) bool }); ok && t.table(isTerminal(stdout)) {
		env.Table, records = true, io.Discard
	}
	env.Stream, err = record.NewStream(records, record.Options{
		Tool: tool.Name, RunID: common.RunID, Labels: labels, OnError: func(err error) { stop(writeFailure(err)) }})
	if err != nil {
		return usage(stderr, tool.Name, fmt.Errorf("--label: %w", err))
	}
	err = work(ctx, env)
	return env.finish(ctx, err)
}

// finish writes the last records and maps the work's error to the exit code.
func (e *Env) finish(ctx context.Context, err error) int {
	if werr := e.Err(); werr != nil { // nothing can be written any more, and whatever the work said follows from it
		err = writeFailure(werr)
	}
	code, reason := exit.Code(err)
	if code == exit.Usage { // found out too late for the parser, still a usage error with an empty stdout
		return usage(e.Stderr, e.tool.Name, err)
	}
	end := record.End{Reason: endReason(ctx, code, reason), ExitCode: code, Complete: code == exit.OK && e.Lost == 0, Dropped: e.Lost}
	if code != exit.OK && code != exit.ReaderGone {
		if end.Reason != "signal" {
			e.Emit("error", record.Note{Reason: reason, Detail: err.Error()})
		}
		fmt.Fprintf(e.Stderr, "%s: %s\n", e.tool.Name, oneLine(err.Error()))
	}
	end.Records, end.Warnings = e.Seq(), e.Warnings()
	var ru unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &ru) == nil {
		end.CPUSeconds = float64(ru.Utime.Nano()+ru.Stime.Nano()) / 1e9
		end.MaxRSSBytes = ru.Maxrss << 10
	}
	e.Emit("end", end)
	if werr := e.Err(); werr != nil && code == exit.OK {
		code, _ = exit.Code(writeFailure(werr))
		if code != exit.ReaderGone {
			fmt.Fprintf(e.Stderr, "%s: %s\n", e.tool.Name, oneLine(werr.Error()))
		}
	}
	return code
}

func endReason(ctx context.Context, code int, reason string) string {
	cause, _ := exit.Code(context.Cause(ctx))
	switch {
	case code == exit.ReaderGone, code == exit.Timeout:
		return reason
	case code == exit.Interrupted, code == exit.Terminated:
		return "signal"
	case code == exit.OK && ctx.Err() != nil && (cause == exit.Interrupted || cause == exit.Terminated):
		return "signal" // an observer or a holder that was told to stop has done its work
	case code == exit.OK:
		return "done"
	case reason == "guard":
		return reason
	}
	return "error"
}

// writeFailure classifies a failed write to stdout.
func writeFailure(err error) error {
	if errors.Is(err, unix.EPIPE) || errors.Is(err, io.ErrClosedPipe) {
		return &exit.Error{Code: exit.ReaderGone, Reason: "reader_gone", Err: err}
	}
	return fmt.Errorf("writing records: %w", err)
}

// Cause is the reason why the context ended, as an error that carries its exit code; nil while it has not.
func Cause(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return context.Cause(ctx)
}

// parsed tells Run that kong has answered the user itself (--help).
type parsed struct{ code int }

func parse(tool Tool, common *Common, args []string, stdout, stderr io.Writer) (code int, done bool) {
	defer func() {
		if r := recover(); r != nil {
			p, ok := r.(parsed)
			if !ok {
				panic(r)
			}
			code, done = p.code, true
		}
	}()
	options := append([]kong.Option{
		kong.Name(tool.Name),
		kong.Description(tool.Summary),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { panic(parsed{code}) }),
		kong.DefaultEnvars("MEMLINE_" + strings.ToUpper(tool.Name)),
		kong.Help(func(o kong.HelpOptions, ctx *kong.Context) error {
			if ctx.Selected() == nil || ctx.Selected().Parent == nil {
				fmt.Fprintf(ctx.Stdout, "%s\n\n", strings.TrimSpace(tool.Examples))
			}
			return kong.DefaultHelpPrinter(o, ctx)
		}),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
	}, tool.Kong...)
	parser, err := kong.New(tool.Options, options...)
	if err != nil {
		return usage(stderr, tool.Name, err), true
	}
	// --schema and --version need no other argument to be right.
	switch {
	case slices.Contains(args, "--schema"):
		schema, err := record.Schema(tool.Name, tool.Events)
		if err != nil {
			fmt.Fprintf(stderr, "%s: %v\n", tool.Name, err)
			return exit.Failure, true
		}
		fmt.Fprintf(stdout, "%s\n", schema)
		return exit.OK, true
	case slices.Contains(args, "--version"):
		fmt.Fprintf(stdout, "%s %s\n", tool.Name, version)
		return exit.OK, true
	}
	parseCtx, err := parser.Parse(args)
	if err != nil {
		return usage(stderr, tool.Name, err), true
	}
	if tool.Command != nil {
		tool.Command(parseCtx.Command())
	}
	if tool.Validate != nil {
		if err := tool.Validate(); err != nil {
			return usage(stderr, tool.Name, err), true
		}
	}
	return 0, false
}

func usage(stderr io.Writer, name string, err error) int {
	fmt.Fprintf(stderr, "%s: %s (try --help)\n", name, oneLine(err.Error()))
	return exit.Usage
}

func oneLine(s string) string { return strings.ReplaceAll(strings.TrimSpace(s), "\n", "; ") }

func splitLabels(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

func parseLabels(pairs []string) (map[string]string, error) {
	labels := map[string]string{}
	for _, pair := range pairs {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" || strings.Trim(key, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			return nil, fmt.Errorf("%q is not KEY=VALUE with a snake_case key", pair)
		}
		labels[key] = value
	}
	return labels, nil
}

func isTerminal(w any) bool {
	f, ok := w.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(f.Fd()))
}
