// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"memline/internal/exit"
	"memline/internal/record/recordtest"
)

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
