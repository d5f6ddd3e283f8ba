// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"memline/internal/exit"
	"memline/internal/kernel"
	"memline/internal/record"
	"memline/internal/record/recordtest"
)

// TestMain lets the test binary be the toy, a tool of two commands.
func TestMain(m *testing.M) {
	if os.Getenv("CLI_TEST_TOY") != "" {
		os.Exit(runToy(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

type toyOptions struct {
	Common
	Timed
	Tabled

	Do   toyDo    `cmd:"" default:"withargs" help:"Do something."`
	Rest struct{} `cmd:"" help:"Do nothing."`
}

type toyDo struct {
	What    string   `arg:"" optional:"" default:"done" help:"What to do." json:"what"`
	Size    Size     `help:"How much." default:"1M" json:"size"`
	MemFree Size     `help:"How much else." json:"mem_free"`
	Wait    Duration `help:"How long." default:"0s" json:"wait"`
}

type toyStart struct {
	Start
	Command string  `json:"command" doc:"the command"`
	Do      toyDo   `json:"do" doc:"its options"`
	Limit   Timed   `json:"limit" doc:"the time limit"`
	Form    *Tabled `json:"form" doc:"the form"`
}

type toyResult struct {
	Ratio *float64 `json:"ratio" doc:"null when unknown"`
	Text  string   `json:"text" doc:"any"`
}

const toyExamples = `
Examples:
  toy do done        do it
  toy rest           do nothing
  sleep 1; toy rest  later`

func toyEvents() []record.Event {
	return append([]record.Event{{Name: "start", Doc: "d", Fields: toyStart{}}, {Name: "result", Doc: "d", Fields: toyResult{}},
		{Name: "progress", Doc: "d", Fields: record.Progress{}}, {Name: "ready", Doc: "d", Fields: struct{}{}}}, record.Common()...)
}

func runToy(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var o toyOptions
	var command string
	return Run(ctx, Tool{
		Name: "toy", Summary: "Test the shell around the tools.", Examples: toyExamples, Events: toyEvents(), Options: &o,
		Validate: func() error {
			if o.Do.What == "invalid" {
				return errors.New("what: invalid is no work\nat all")
			}
			return nil
		},
		Command: func(c string) { command = c },
	}, args, stdin, stdout, stderr, func(ctx context.Context, env *Env) error {
		if o.Do.What == "late" {
			return exit.New(exit.Usage, "usage", "found out before the first record")
		}
		env.Emit("start", toyStart{Start: env.Start(kernel.Root()), Command: command, Do: o.Do, Limit: o.Timed, Form: &o.Tabled})
		return toyWork(ctx, env, o.Do.What)
	})
}

func toyWork(ctx context.Context, env *Env, what string) error {
	switch what {
	case "wait": // cleans up, and says why it stopped
		env.Emit("ready", struct{}{})
		<-ctx.Done()
		return fmt.Errorf("waiting: %w", Cause(ctx))
	case "bare": // as a library call does that was cut short
		env.Emit("ready", struct{}{})
		<-ctx.Done()
		return fmt.Errorf("waiting: %w", ctx.Err())
	case "observe": // what it was to do is done whenever it is stopped
		env.Emit("ready", struct{}{})
		<-ctx.Done()
		return nil
	case "stuck": // does not listen
		env.Emit("ready", struct{}{})
		time.Sleep(time.Hour)
	case "flood":
		for Cause(ctx) == nil {
			env.Emit("result", toyResult{Text: strings.Repeat("x", 1000)})
		}
		return errors.Join(Cause(ctx), errors.New("and the clean-up failed"))
	case "fail":
		return errors.New("it broke\nin two lines")
	case "refuse":
		return exit.New(exit.Refused, "memory", "not now")
	case "guard":
		return exit.New(exit.Refused, "guard", "the brake was pulled")
	case "lose":
		env.Lost = 3
	case "warn":
		env.Warn("odd", "this is %s", "odd")
		env.Debugf("decided %d", 7)
	case "nan":
		nan := 0.0
		nan /= nan
		env.Emit("result", toyResult{Ratio: &nan})
	case "toolate":
		return exit.New(exit.Usage, "usage", "found out after the first record")
	case "print":
		fmt.Fprintln(env.Stdout, "a table")
	case "progress":
		p := env.Progress("fill", 1000)
		for range 10 {
			p.Add(100)
		}
		p.last = p.last.Add(-time.Second)
		p.Add(0)
		p.Done()
	}
	return nil
}

// toy runs the toy as a process.
func toy(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "CLI_TEST_TOY=1", "MEMLINE_DEBUG=", "MEMLINE_LABELS=", "MEMLINE_RUN_ID=")
	return cmd
}

type outcome struct {
	code           int
	stdout, stderr string
}

func finish(t *testing.T, cmd *exec.Cmd) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if cmd.Stdout == nil {
		cmd.Stdout = &stdout
	}
	cmd.Stderr = &stderr
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return outcome{codeOf(cmd), stdout.String(), stderr.String()}
}

func codeOf(cmd *exec.Cmd) int {
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signaled() {
		return 128 + int(status.Signal())
	}
	return cmd.ProcessState.ExitCode()
}

// records holds the stream against the schema and returns its records.
func records(t *testing.T, stream string) []map[string]any {
	t.Helper()
	text, err := record.Schema("toy", toyEvents())
	if err != nil {
		t.Fatal(err)
	}
	schema, err := recordtest.Schema(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := recordtest.CheckComplete(schema, []byte(stream)); err != nil {
		t.Fatal(err)
	}
	var all []map[string]any
	for line := range strings.Lines(stream) {
		var r map[string]any
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

func last(t *testing.T, stream string) map[string]any {
	t.Helper()
	all := records(t, stream)
	return all[len(all)-1]
}

// started is a toy that has said that it is ready.
func started(t *testing.T, args ...string) (cmd *exec.Cmd, stdout, stderr *bytes.Buffer, wait func() int) {
	t.Helper()
	cmd = toy(args...)
	stdout, stderr = &bytes.Buffer{}, &bytes.Buffer{}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	b := make([]byte, 64<<10)
	for !strings.Contains(stdout.String(), `"event":"ready"`) {
		n, err := out.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		stdout.Write(b[:n])
	}
	return cmd, stdout, stderr, func() int {
		io.Copy(stdout, out)
		cmd.Wait()
		return codeOf(cmd)
	}
}
