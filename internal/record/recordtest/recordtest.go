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

// Check holds each line of a tool's stream against its schema and the envelope's rules: whole lines of at most 4096
// bytes, start first, end last when the stream is complete, seq without gaps.
func Check(schema *jsonschema.Schema, stream []byte) error {
	var seq uint64
	var proc string
	for i, line := range bytes.SplitAfter(stream, []byte("\n")) {
		if len(line) == 0 {
			continue
		}
		if err := checkLine(schema, line, &seq, &proc); err != nil {
			return fmt.Errorf("line %d: %w: %s", i+1, err, line)
		}
	}
	return nil
}

func checkLine(schema *jsonschema.Schema, line []byte, seq *uint64, proc *string) error {
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
	var envelope struct {
		Proc, Event string
		Seq         uint64
	}
	if err := json.Unmarshal(line, &envelope); err != nil {
		return err
	}
	if envelope.Proc != *proc {
		*proc, *seq = envelope.Proc, 0
		if envelope.Event != "start" {
			return fmt.Errorf("the first record of a process is %q, not start", envelope.Event)
		}
	}
	if envelope.Seq != *seq+1 {
		return fmt.Errorf("seq %d after %d", envelope.Seq, *seq)
	}
	*seq = envelope.Seq
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
	var kept bytes.Buffer
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
	code := run(context.Background(), args, os.Stdin, &tee{File: os.Stdout, kept: &kept}, os.Stderr)
	if !bytes.HasPrefix(kept.Bytes(), []byte("{")) { // a table or a settings file
		return code
	}
	if err := Check(schema, kept.Bytes()); err != nil {
		fmt.Fprintln(os.Stderr, "invalid record:", err)
		return 99
	}
	return code
}

// tee is stdout that remembers what reached it.
type tee struct {
	*os.File
	kept *bytes.Buffer
}

func (t *tee) Write(b []byte) (int, error) {
	n, err := t.File.Write(b)
	t.kept.Write(b[:n])
	return n, err
}

// Scripts runs the testdata/script/*.txtar of a tool's folder.
func Scripts(t *testing.T, setup func(*testscript.Env) error) {
	t.Helper()
	if files, _ := filepath.Glob("testdata/script/*.txtar"); len(files) == 0 {
		t.Fatal("no scripts in testdata/script")
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup:               setup,
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "root":
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
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
