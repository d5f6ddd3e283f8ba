// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"

	"memline/internal/cli"
	"memline/internal/record"
)

// cutUp reads an input and returns the counts and the lines handed on.
func cutUp(t testing.TB, r io.Reader) (tally, []string) {
	t.Helper()
	stream, err := record.NewStream(io.Discard, record.Options{Tool: "summarize"})
	if err != nil {
		t.Fatal(err)
	}
	var used []string
	in := input{env: &cli.Env{Stream: stream, Stdin: r}, use: func(line string) bool {
		used = append(used, line)
		return true
	}}
	// Quiet warnings need options that only Run sets, so bad lines are counted past the ones that are shown.
	in.shown = badShown
	if err := in.readAll(t.Context(), []string{"-"}); err != nil {
		t.Fatal(err)
	}
	return in.tally, used
}

func TestInput(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	for _, tt := range []struct {
		name, input string
		want        tally // without files and bytes
		lines       []string
	}{
		{"nothing", "", tally{}, nil},
		{"two records", "{\"a\":1}\n{\"a\":2}\n", tally{Lines: 2, Used: 2}, []string{`{"a":1}`, `{"a":2}`}},
		{"no newline at the end", "{\"a\":1}\n{\"a\":2}", tally{Lines: 2, Used: 2}, []string{`{"a":1}`, `{"a":2}`}},
		{"cut off at the end", "{\"a\":1}\n{\"a\":2", tally{Lines: 2, Used: 1, Truncated: 1}, []string{`{"a":1}`}},
		{"cut off in the middle", "{\"a\":1\n{\"a\":2}\n", tally{Lines: 2, Used: 1, Bad: 1}, []string{`{"a":2}`}},
		{"CRLF", "{\"a\":1}\r\n\r\n{\"a\":2}\r\n", tally{Lines: 3, Used: 2, Ignored: 1}, []string{`{"a":1}`, `{"a":2}`}},
		{"blank lines", "\n \t\n{}\n\n", tally{Lines: 4, Used: 1, Ignored: 3}, []string{`{}`}},
		{"byte order mark", "\xef\xbb\xbf{\"a\":1}\n", tally{Lines: 1, Used: 1}, []string{`{"a":1}`}},
		{"byte order mark later", "{}\n\xef\xbb\xbf{}\n", tally{Lines: 2, Used: 1, Bad: 1}, []string{`{}`}},
		{"two values", "{} {}\n", tally{Lines: 1, Bad: 1}, nil},
		{"no object", "17\n[1]\n\"x\"\nnull\n", tally{Lines: 4, Bad: 4}, nil},
		{"text", "panic: oh no\n", tally{Lines: 1, Bad: 1}, nil},
		{"too long", `{"a":"` + long + "\"}\n{}\n", tally{Lines: 2, Used: 1, Bad: 1}, []string{`{}`}},
		{"too long at the end", "{}\n{\"a\":\"" + long, tally{Lines: 2, Used: 1, Bad: 1}, []string{`{}`}},
		{"as long as may be", `{"a":"` + long[:maxLine-8] + "\"}\n", tally{Lines: 1, Used: 1}, []string{`{"a":"` + long[:maxLine-8] + `"}`}},
		{"nested too deep", strings.Repeat("[", 100_000) + "\n{}\n", tally{Lines: 2, Used: 1, Bad: 1}, []string{`{}`}},
		{"many brackets in a string", `{"a":"` + strings.Repeat(`[\"`, 30_000) + "\"}\n", tally{Lines: 1, Used: 1},
			[]string{`{"a":"` + strings.Repeat(`[\"`, 30_000) + `"}`}},
	} {
		for how, r := range map[string]io.Reader{
			"at once":     strings.NewReader(tt.input),
			"byte by bit": iotest.HalfReader(strings.NewReader(tt.input)),
		} {
			got, lines := cutUp(t, r)
			tt.want.Files, tt.want.Bytes = 1, int64(len(tt.input))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s, read %s (-want +got):\n%s", tt.name, how, diff)
			}
			if diff := cmp.Diff(tt.lines, lines); diff != "" {
				t.Errorf("%s, read %s, lines (-want +got):\n%.500s", tt.name, how, diff)
			}
		}
	}
	if got, _ := cutUp(t, iotest.OneByteReader(strings.NewReader("{}\n{\"a\":1}\r\n{"))); got.Used != 2 || got.Truncated != 1 {
		t.Errorf("read byte by byte: %+v, want 2 used and 1 truncated", got)
	}
}

// TestReadError reports what was being read.
func TestReadError(t *testing.T) {
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"-f", "a"}, iotest.ErrReader(io.ErrUnexpectedEOF), &stdout, &stderr)
	if code != 1 || !strings.Contains(stderr.String(), "reading standard input: unexpected EOF") {
		t.Errorf("exit code %d, stderr %q", code, stderr.String())
	}
}

// TestTerminalInput refuses to wait for somebody to type records.
func TestTerminalInput(t *testing.T) {
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("skipped: needs a pseudo terminal: %v", err)
	}
	defer terminal.Close()
	for _, args := range [][]string{{"-f", "a"}, {"rank", "-"}} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), args, terminal, &stdout, &stderr); code != 2 || stdout.Len() > 0 || !strings.Contains(stderr.String(), "terminal") {
			t.Errorf("%v: exit code %d, stdout %q, stderr %q", args, code, stdout.String(), stderr.String())
		}
	}
}

// FuzzLine holds the reader against encoding/json: every line is counted once, and exactly the objects are handed on.
func FuzzLine(f *testing.F) {
	for _, seed := range []string{"{\"a\":1}\n", "{\"a\":1", "\xef\xbb\xbf{}\r\n\n[1]\n", "{\"a\":\"\xff\"}\n", "{\"a\":1e999}\n", "{\"a\":{\"b\":[]}}\n{", "{\"a\\u0000\":1}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, lines := cutUp(t, bytes.NewReader(data))
		if got.Lines != got.Used+got.Ignored+got.Bad+got.Truncated {
			t.Fatalf("%+v does not add up", got)
		}
		var want []string
		for i, line := range bytes.Split(data, []byte("\n")) {
			if i == 0 {
				line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
			}
			line = bytes.TrimSpace(line)
			if len(line) > 0 && line[0] == '{' && json.Valid(line) {
				want = append(want, string(line))
			}
		}
		if diff := cmp.Diff(want, lines); diff != "" {
			t.Fatalf("lines handed on (-encoding/json +got):\n%s", diff)
		}
		for _, line := range lines {
			sameFields(t, line)
		}
	})
}

// sameFields holds the picker against encoding/json for the number in a and the label x.
func sameFields(t *testing.T, line string) {
	var v map[string]any
	if json.Unmarshal([]byte(line), &v) != nil {
		return // such as a number beyond a double
	}
	p := newPicker([]string{"a", labelPrefix + "x"})
	p.pick(line)
	if want, ok := v["a"].(float64); ok != (p.values[0].Type == gjson.Number) || ok && want != p.values[0].Num {
		t.Fatalf("%s: a is %v, want %v", line, p.values[0], v["a"])
	}
	labels, _ := v["labels"].(map[string]any)
	if want, ok := labels["x"].(string); ok != (p.values[1].Type == gjson.String) || ok && want != strings.ToValidUTF8(p.values[1].Str, "\ufffd") {
		t.Fatalf("%s: labels.x is %q, want %q", line, p.values[1].Str, want)
	}
}
