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
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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

func TestEnds(t *testing.T) {
	for _, test := range []struct {
		what, reason string
		code         int
		complete     bool
		stderr       string
		event        string // before the end
	}{
		{"done", "done", 0, true, "", "start"},
		{"fail", "error", 1, false, "toy: it broke; in two lines\n", "error"},
		{"refuse", "error", 75, false, "toy: not now\n", "error"},
		{"guard", "guard", 75, false, "toy: the brake was pulled\n", "error"},
		{"lose", "done", 0, false, "", "start"},
		{"warn", "done", 0, true, "", "warning"},
		{"nan", "error", 1, false, "toy: writing records: encoding a result record: json: unsupported value: NaN\n", "error"},
		{"toolate", "error", 2, false, "toy: found out after the first record\n", "error"},
		{"progress", "done", 0, true, "", "progress"},
	} {
		got := finish(t, toy("do", test.what))
		if got.code != test.code || got.stderr != test.stderr {
			t.Errorf("%s: exit %d, stderr %q, want %d, %q", test.what, got.code, got.stderr, test.code, test.stderr)
		}
		all := records(t, got.stdout)
		end := all[len(all)-1]
		if end["reason"] != test.reason || end["exit_code"] != float64(test.code) || end["complete"] != test.complete || end["records"] != float64(len(all)-1) {
			t.Errorf("%s: end = %v, want reason %s, exit_code %d, complete %t, records %d", test.what, end, test.reason, test.code, test.complete, len(all)-1)
		}
		if before := all[len(all)-2]; before["event"] != test.event {
			t.Errorf("%s: the record before the end is %v, want %s", test.what, before, test.event)
		}
		if test.what == "warn" && end["warnings"] != 1.0 || test.what == "lose" && end["dropped"] != 3.0 {
			t.Errorf("%s: end = %v", test.what, end)
		}
	}
}

func TestUsage(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--nonsense"}, "unknown flag --nonsense"},
		{[]string{"do", "done", "more"}, "more"},
		{[]string{"do", "--size", "5"}, `--size: "5" has no unit`},
		{[]string{"do", "--size=-5M"}, "negative"},
		{[]string{"do", "--size", "-5M"}, "--size"},
		{[]string{"do", "--wait", "soon"}, "not a duration"},
		{[]string{"--timeout", "0s"}, "--timeout: 0 leaves no time"},
		{[]string{"-o", "xml"}, "--output"},
		{[]string{"--label", "x"}, "--label"},
		{[]string{"--label", "k=" + strings.Repeat("x", 2000)}, "labels take"},
		{[]string{"--run-id", strings.Repeat("x", 2000)}, "run id takes"},
		{[]string{"do", "invalid"}, "invalid is no work; at all"},
		{[]string{"do", "late"}, "before the first record"},
	} {
		got := finish(t, toy(test.args...))
		if got.code != exit.Usage || got.stdout != "" || strings.Count(got.stderr, "\n") != 1 || !strings.Contains(got.stderr, test.want) || !strings.HasPrefix(got.stderr, "toy: ") {
			t.Errorf("toy %.60q: exit %d, stdout %q, stderr %q, want 2, nothing, one line with %q", test.args, got.code, got.stdout, got.stderr, test.want)
		}
	}
}

func TestHelp(t *testing.T) {
	got := finish(t, toy("--help"))
	if got.code != 0 || got.stderr != "" || !strings.HasPrefix(got.stdout, "Examples:\n  toy do done        do it\n") || !strings.Contains(got.stdout, "$MEMLINE_TOY_TIMEOUT") {
		t.Errorf("toy --help: exit %d, stderr %q, stdout %s", got.code, got.stderr, got.stdout)
	}
	got = finish(t, toy("rest", "--help"))
	if want := "Examples:\n  toy rest           do nothing\n  sleep 1; toy rest  later\n\nUsage: toy rest"; !strings.HasPrefix(got.stdout, want) {
		t.Errorf("toy rest --help = %s, want it to start with %s", got.stdout, want)
	}
}

func TestSchemaAndVersion(t *testing.T) {
	got := finish(t, toy("--schema"))
	if _, err := recordtest.Schema([]byte(got.stdout)); err != nil || got.code != 0 || got.stderr != "" {
		t.Errorf("toy --schema: exit %d, stderr %q, %v", got.code, got.stderr, err)
	}
	got = finish(t, toy("do", "--size", "nonsense", "--version"))
	if got.code != 0 || !regexp.MustCompile(`^toy \S+\n$`).MatchString(got.stdout) {
		t.Errorf("toy --version: exit %d, stdout %q", got.code, got.stdout)
	}
}

// TestEnvironment takes defaults from MEMLINE_<TOOL>_<FLAG>; the command line wins.
func TestEnvironment(t *testing.T) {
	cmd := toy("do", "--size", "3M", "--label", "b=2", "--label", "c=d,e=f")
	cmd.Env = append(cmd.Env, "MEMLINE_TOY_SIZE=2M", "MEMLINE_TOY_MEM_FREE=25%", "MEMLINE_TOY_TIMEOUT=1h", "MEMLINE_LABELS=a=1,b=1", "MEMLINE_RUN_ID=nightly", "MEMLINE_TOY_SCHEMA=1")
	start := records(t, finish(t, cmd).stdout)[0]
	do, limit := start["do"].(map[string]any), start["limit"].(map[string]any)
	if do["size"] != "3M" || do["mem_free"] != "25%" || limit["timeout"] != "1h" || start["run_id"] != "nightly" {
		t.Errorf("start = %v", start)
	}
	if labels := fmt.Sprint(start["labels"]); labels != "map[a:1 b:2 c:d,e=f]" {
		t.Errorf("labels = %s", labels)
	}
	cmd = toy("do")
	cmd.Env = append(cmd.Env, "MEMLINE_TOY_SIZE=", "MEMLINE_TOY_TIMEOUT=") // as if not set
	if got := finish(t, cmd); got.code != 0 || records(t, got.stdout)[0]["do"].(map[string]any)["size"] != "1M" {
		t.Errorf("empty defaults: exit %d, stdout %q, stderr %q", got.code, got.stdout, got.stderr)
	}
	cmd = toy()
	cmd.Env = append(cmd.Env, "MEMLINE_TOY_SIZE=lots")
	if got := finish(t, cmd); got.code != exit.Usage || got.stdout != "" || !strings.Contains(got.stderr, "lots") {
		t.Errorf("a bad default: exit %d, stdout %q, stderr %q", got.code, got.stdout, got.stderr)
	}
}

func TestTimeout(t *testing.T) {
	for what, code := range map[string]int{"wait": 124, "bare": 124, "observe": 0, "done": 0} {
		got := finish(t, toy("do", what, "--timeout", "50ms"))
		want := map[int]string{124: "timeout", 0: "done"}[code]
		if end := last(t, got.stdout); got.code != code || end["reason"] != want {
			t.Errorf("%s: exit %d, end %v, want %d, %s", what, got.code, end, code, want)
		}
		if code == 124 && !strings.Contains(got.stderr, "--timeout 50ms ran out") {
			t.Errorf("%s: stderr %q", what, got.stderr)
		}
	}
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

func TestSignals(t *testing.T) {
	for _, test := range []struct {
		what   string
		signal syscall.Signal
		code   int
	}{
		{"wait", unix.SIGINT, 130}, {"wait", unix.SIGTERM, 143}, {"wait", unix.SIGHUP, 143}, {"bare", unix.SIGINT, 130}, {"bare", unix.SIGTERM, 143},
		{"observe", unix.SIGINT, 0}, {"observe", unix.SIGTERM, 0},
	} {
		cmd, stdout, stderr, wait := started(t, "do", test.what)
		cmd.Process.Signal(test.signal)
		code := wait()
		if end := last(t, stdout.String()); code != test.code || end["reason"] != "signal" || end["exit_code"] != float64(test.code) || end["complete"] != (code == 0) {
			t.Errorf("%s, %s: exit %d, end %v, want %d", test.what, test.signal, code, end, test.code)
		}
		if code == 0 && stderr.Len() != 0 {
			t.Errorf("%s, %s: stderr %q, want nothing", test.what, test.signal, stderr)
		}
	}
}

// TestSecondInterrupt leaves at once; the undo journal covers the rest.
func TestSecondInterrupt(t *testing.T) {
	cmd, _, _, wait := started(t, "do", "stuck")
	done := make(chan int, 1)
	go func() { done <- wait() }()
	cmd.Process.Signal(unix.SIGTERM) // is asked politely, and does not listen
	for {
		select {
		case code := <-done:
			if code != 128+int(unix.SIGINT) {
				t.Errorf("exit %d, want killed by INT", code)
			}
			return
		case <-time.After(20 * time.Millisecond):
			cmd.Process.Signal(unix.SIGINT)
		}
	}
}

// TestIgnoredSignals keeps HUP ignored under nohup, but not INT, which a shell ignores for its background processes.
func TestIgnoredSignals(t *testing.T) {
	cmd := toy()
	script := exec.Command("bash", "-c", `trap "" HUP INT; "$0" do wait & pid=$!
		while ! grep -q '"ready"' "$1"; do sleep 0.01; done
		kill -HUP $pid; sleep 0.1; kill -0 $pid || echo "HUP ended it"
		kill -INT $pid; wait $pid; echo $?`, os.Args[0], t.TempDir()+"/out")
	script.Args[2] = strings.Replace(script.Args[2], "do wait &", `do wait >"$1" 2>/dev/null &`, 1)
	script.Env = cmd.Env
	if out, err := script.CombinedOutput(); err != nil || string(out) != "130\n" {
		t.Errorf("HUP and then INT, both ignored by the parent: %q, %v, want only INT to end it, with 130", out, err)
	}
}

func TestReaderGone(t *testing.T) {
	for _, what := range []string{"flood", "wait"} { // one that writes, one that would not notice by itself
		t.Run(what, func(t *testing.T) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			cmd := toy("do", what)
			cmd.Stdout = w
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			w.Close()
			io.ReadFull(r, make([]byte, 100))
			r.Close()
			cmd.Wait()
			if code := codeOf(cmd); code != exit.ReaderGone {
				t.Errorf("exit %d, stderr %q, want %d", code, &stderr, exit.ReaderGone)
			}
			if failed := strings.Contains(stderr.String(), "clean-up failed"); failed != (what == "flood") {
				t.Errorf("stderr %q: only a failed clean-up is worth a line", &stderr)
			}
		})
	}
}

func TestFullDisk(t *testing.T) {
	for _, args := range [][]string{{"do", "done"}, {"do", "flood"}, {"do", "print", "-o", "table"}} {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Skipf("skipped: %v", err)
		}
		cmd := toy(args...)
		cmd.Stdout = full
		got := finish(t, cmd)
		full.Close()
		if got.code != 1 || !strings.Contains(got.stderr, "no space left on device") {
			t.Errorf("toy %q on a full disk: exit %d, stderr %q, want 1 and the reason", args, got.code, got.stderr)
		}
	}
}

func TestTableReaderGone(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r.Close()
	cmd := toy("do", "print", "-o", "table")
	cmd.Stdout = w
	if got := finish(t, cmd); got.code != exit.ReaderGone {
		t.Errorf("exit %d, stderr %q, want %d", got.code, got.stderr, exit.ReaderGone)
	}
}

// TestForms prints records where nobody asks for a table, and tables alone where somebody does.
func TestForms(t *testing.T) {
	if got := finish(t, toy("do", "print", "-o", "table")); got.stdout != "a table\n" || got.code != 0 {
		t.Errorf("-o table: %q", got.stdout)
	}
	for _, args := range [][]string{{"do"}, {"do", "-o", "ndjson"}} {
		if got := finish(t, toy(args...)); len(records(t, got.stdout)) != 2 {
			t.Errorf("toy %q: %q", args, got.stdout)
		}
	}
}

// TestStderr is silent in a pipe, talks beside a table, decides aloud when asked to, and keeps quiet when told to.
func TestStderr(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"do", "warn"}, `^$`},
		{[]string{"do", "warn", "-o", "table"}, `^toy: warning: this is odd\n$`},
		{[]string{"do", "warn", "-o", "table", "--quiet"}, `^$`},
		{[]string{"do", "warn", "--verbose"}, `^\d\d:\d\d:\d\d\.\d{6} toy: decided 7\n$`},
		{[]string{"do", "fail", "--quiet"}, `^toy: it broke; in two lines\n$`},
	} {
		if got := finish(t, toy(test.args...)); !regexp.MustCompile(test.want).MatchString(got.stderr) {
			t.Errorf("toy %q: stderr %q, want %s", test.args, got.stderr, test.want)
		}
	}
	cmd := toy("do", "warn")
	cmd.Env = append(cmd.Env, "MEMLINE_DEBUG=1")
	if got := finish(t, cmd); !strings.Contains(got.stderr, "decided 7") {
		t.Errorf("MEMLINE_DEBUG=1: stderr %q", got.stderr)
	}
}

// TestInProcess runs the toy in this process, as the tools' own tests do: twice, with buffers for files, and a context of
// the caller's.
func TestInProcess(t *testing.T) {
	for range 2 {
		var stdout, stderr bytes.Buffer
		if code := runToy(t.Context(), []string{"do"}, nil, &stdout, &stderr); code != 0 || stderr.Len() != 0 {
			t.Errorf("exit %d, stderr %q", code, &stderr)
		}
		records(t, stdout.String())
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(exit.New(exit.Refused, "caller", "the caller had enough"))
	var stdout, stderr bytes.Buffer
	if code := runToy(ctx, []string{"do", "bare"}, nil, &stdout, &stderr); code != exit.Refused || !strings.Contains(stderr.String(), "had enough") {
		t.Errorf("a context of the caller's: exit %d, stderr %q", code, &stderr)
	}
}
