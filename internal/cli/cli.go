// SPDX-License-Identifier: Apache-2.0

// Package cli is the shell around every tool: options, signals, time limit, record stream, exit code.
//
// A tool hands Run its kong struct and a function that does the work; Run parses, opens the stream, calls the work, and
// turns its error into the error and end records, one line on stderr, and the exit code.
package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/alecthomas/kong"
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
	Schema  bool     `help:"Print the JSON Schema of the records and exit." env:"-" json:"-"`
	Version bool     `help:"Print the version and exit." env:"-" json:"-"`
	Quiet   bool     `help:"Nothing on stderr but errors." short:"q" json:"-"`
	Verbose bool     `help:"Decisions with timestamps on stderr; MEMLINE_DEBUG=1 does the same." short:"v" json:"-"`
}

func (c *Common) common() *Common { return c }

// Timed adds --timeout to a tool that can run long.
type Timed struct {
	Timeout Duration `help:"Give up after this time, clean up and exit with 124." placeholder:"DURATION" json:"timeout"`
}

func (t *Timed) timed() *Timed { return t }

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
	Stdout io.Writer // for tables only, a failed write ends the run; records go through the stream
	Stderr io.Writer
	Table  bool   // people read stdout: print a table, the records go nowhere
	Lost   uint64 // measurements lost, for the end record

	tool     Tool
	options  *Common
	terminal bool // stderr is one
	printed  *printer
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

	ctx, stop, release := interruptible(ctx, stdout)
	defer release()
	if t, ok := tool.Options.(interface{ timed() *Timed }); ok && t.timed().Timeout.IsSet() {
		limit := t.timed().Timeout
		timer := time.AfterFunc(limit.Duration, func() {
			stop(exit.New(exit.Timeout, "timeout", "--timeout %s ran out", limit))
		})
		defer timer.Stop()
	}

	env := &Env{Stdin: stdin, Stderr: stderr, tool: tool, options: common, terminal: isTerminal(stderr)}
	env.printed = &printer{w: stdout, stop: stop}
	env.Stdout = env.printed
	records := stdout
	if t, ok := tool.Options.(interface{ table(bool) bool }); ok && t.table(isTerminal(stdout)) {
		env.Table, records = true, io.Discard
	}
	env.Stream, err = record.NewStream(records, record.Options{
		Tool: tool.Name, RunID: common.RunID, Labels: labels, OnError: func(err error) { stop(writeFailure(err)) }})
	if err != nil {
		return usage(stderr, tool.Name, fmt.Errorf("--label or --run-id: %w", err))
	}
	err = work(ctx, env)
	return env.finish(ctx, err)
}

func isTerminal(w any) bool {
	f, ok := w.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(f.Fd()))
}
