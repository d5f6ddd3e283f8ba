// SPDX-License-Identifier: Apache-2.0

// Package recordtest holds every line that a test makes a tool print against the tool's own schema, and runs a tool's
// testscripts.
package recordtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"memline/internal/record"
)

// Run is the run function of a tool.
type Run func(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int

// Schema compiles the schema that a tool prints for --schema.
func Schema(schema []byte) (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		return nil, err
	}
	return c.Compile("schema.json")
}

// Check holds each line of a stream against the tool's schema and the envelope's rules, for each process in it: whole
// lines of at most 4096 bytes, start first, seq without gaps, nothing after end.
func Check(schema *jsonschema.Schema, stream []byte) error {
	last := map[string]envelope{}
	line := 0
	for text := range bytes.Lines(stream) {
		line++
		if err := checkLine(schema, text, last); err != nil {
			return fmt.Errorf("line %d: %w: %s", line, err, text)
		}
	}
	return nil
}

type envelope struct {
	Proc, Event string
	Seq         uint64
}

func checkLine(schema *jsonschema.Schema, line []byte, last map[string]envelope) error {
	if len(line) > record.MaxLine || line[len(line)-1] != '\n' {
		return fmt.Errorf("%d bytes, not one whole line of at most %d", len(line), record.MaxLine)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(line))
	if err != nil {
		return err
	}
	if err := schema.Validate(doc); err != nil {
		return fmt.Errorf("not as the schema says: %w", err)
	}
	var now envelope
	if err := json.Unmarshal(line, &now); err != nil {
		return err
	}
	before, known := last[now.Proc]
	last[now.Proc] = now
	switch {
	case !known && now.Event != "start":
		return fmt.Errorf("the first record of a process is %q, not start", now.Event)
	case now.Seq != before.Seq+1:
		return fmt.Errorf("seq %d after %d", now.Seq, before.Seq)
	case before.Event == "end":
		return fmt.Errorf("%q after end", now.Event)
	}
	return nil
}

// CheckComplete is Check of a stream that one process has finished: its last line is end.
func CheckComplete(schema *jsonschema.Schema, stream []byte) error {
	if err := Check(schema, stream); err != nil {
		return err
	}
	lines := bytes.Split(bytes.TrimSuffix(stream, []byte("\n")), []byte("\n"))
	var last envelope
	if err := json.Unmarshal(lines[len(lines)-1], &last); err != nil || last.Event != "end" {
		return fmt.Errorf("the last record is %q, not end", last.Event)
	}
	return nil
}

// Command makes a tool a testscript command that refuses to print an invalid line: it validates everything it wrote and
// exits with 99 where a line is not as the schema says.
func Command(run Run) func() {
	return func() {
		os.Exit(checked(run, os.Args[1:]))
	}
}

func checked(run Run, args []string) int {
	for _, arg := range args {
		if arg == "--schema" || arg == "--help" || arg == "-h" || arg == "--version" {
			return run(context.Background(), args, os.Stdin, os.Stdout, os.Stderr)
		}
	}
	var text bytes.Buffer
	if code := run(context.Background(), []string{"--schema"}, os.Stdin, &text, os.Stderr); code != 0 {
		return code
	}
	schema, err := Schema(text.Bytes())
	if err != nil {
		fmt.Fprintln(os.Stderr, "schema:", err)
		return 99
	}
	out := &tee{File: os.Stdout}
	code := run(context.Background(), args, os.Stdin, out, os.Stderr)
	if !bytes.HasPrefix(out.kept.Bytes(), []byte("{")) { // a table or a settings file
		return code
	}
	check := CheckComplete
	if out.failed { // nobody reads what is missing
		check = Check
	}
	if err := check(schema, out.kept.Bytes()); err != nil {
		fmt.Fprintln(os.Stderr, "invalid record:", err)
		return 99
	}
	return code
}

// tee is stdout that remembers what reached it.
type tee struct {
	*os.File
	kept   bytes.Buffer
	failed bool
}

func (t *tee) Write(b []byte) (int, error) {
	n, err := t.File.Write(b)
	t.kept.Write(b[:n])
	t.failed = t.failed || err != nil
	return n, err
}

// Scripts runs the testdata/script/*.txtar of a tool's folder. Where the test holds the host lock (kerneltest.HostLock)
// the scripts share it, and run one after the other. They know the conditions [root] and [zram] and the command exits.
func Scripts(t *testing.T, setup func(*testscript.Env) error) {
	t.Helper()
	if files, _ := filepath.Glob("testdata/script/*.txtar"); len(files) == 0 {
		t.Fatal("no scripts in testdata/script")
	}
	const lock = "MEMLINE_LOCK_FD" // undo.LockEnv; this package stays free of undo
	held := os.Getenv(lock)
	p := testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			if held != "" {
				e.Setenv(lock, held)
			}
			if setup == nil {
				return nil
			}
			return setup(e)
		},
		Condition: condition,
		Cmds:      map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	}
	p.Deadline, _ = t.Deadline()
	if held != "" {
		testscript.RunT(serial{t}, p)
		return
	}
	testscript.Run(t, p)
}

// serial is a test whose scripts run one after the other.
type serial struct{ *testing.T }

func (serial) Parallel()     {}
func (serial) Verbose() bool { return testing.Verbose() }

func (s serial) Run(name string, f func(testscript.T)) {
	s.T.Run(name, func(t *testing.T) { f(serial{t}) })
}

func condition(name string) (bool, error) {
	switch name {
	case "root":
		return os.Geteuid() == 0, nil
	case "zram":
		_, err := os.Stat("/sys/class/zram-control/hot_add")
		return err == nil && os.Geteuid() == 0, nil
	}
	return false, fmt.Errorf("unknown condition %q", name)
}

// exits CODE COMMAND... runs the command and demands this exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if err != nil {
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if got != args[0] {
		ts.Fatalf("%s: exit status %s, want %s", args[1], got, args[0])
	}
}
