// SPDX-License-Identifier: Apache-2.0

package recordtest

import (
	"fmt"
	"strings"
	"testing"

	"memline/internal/record"
)

func TestCheck(t *testing.T) {
	events := append(record.Common(), record.Event{Name: "start", Doc: "d", Fields: record.Start{}})
	text, err := record.Schema("tool", events)
	if err != nil {
		t.Fatal(err)
	}
	schema, err := Schema(text)
	if err != nil {
		t.Fatal(err)
	}
	line := func(proc string, seq int, event, fields string) string {
		return fmt.Sprintf(`{"ts":"2026-01-02T03:04:05.000006Z","tool":"tool","event":%q,"run_id":"r","proc":%q,"seq":%d,"mono_ns":0,%s}`+"\n", event, proc, seq, fields)
	}
	const start = `"v":1,"version":"x","pid":7`
	const note = `"reason":"r","detail":"d"`
	const end = `"reason":"done","exit_code":0,"complete":true,"records":1,"warnings":0,"dropped":0,"cpu_seconds":0,"max_rss_bytes":1`
	a, b := "aaaaaaaa", "bbbbbbbb"
	whole := line(a, 1, "start", start) + line(a, 2, "warning", note) + line(a, 3, "end", end)
	for _, test := range []struct{ name, stream, check, complete string }{
		{"one process", whole, "", ""},
		{"two, one after the other", whole + line(b, 1, "start", start) + line(b, 2, "end", end), "", ""},
		{"two at once", line(a, 1, "start", start) + line(b, 1, "start", start) + line(a, 2, "warning", note) + line(b, 2, "end", end) + line(a, 3, "end", end), "", ""},
		{"killed", line(a, 1, "start", start), "", "not end"},
		{"no start", line(a, 1, "warning", note), "not start", "not start"},
		{"a gap", line(a, 1, "start", start) + line(a, 3, "end", end), "seq 3 after 1", "seq 3 after 1"},
		{"after end", whole + line(a, 4, "warning", note), "after end", "after end"},
		{"torn", whole[:len(whole)-5], "whole line", "whole line"},
		{"unknown key", line(a, 1, "start", start+`,"extra":1`), "schema", "schema"},
		{"missing key", line(a, 1, "start", `"v":1`), "schema", "schema"},
		{"unknown event", line(a, 1, "start", start) + line(a, 2, "made_up", note), "schema", "schema"},
		{"too long", line(a, 1, "start", `"v":1,"version":"`+strings.Repeat("x", 4096)+`","pid":7`), "4096", "4096"},
		{"not JSON", "hello\n", "line 1", "line 1"},
	} {
		for name, check := range map[string]struct {
			err  error
			want string
		}{
			"Check": {Check(schema, []byte(test.stream)), test.check}, "CheckComplete": {CheckComplete(schema, []byte(test.stream)), test.complete},
		} {
			if check.want == "" && check.err != nil || check.want != "" && (check.err == nil || !strings.Contains(check.err.Error(), check.want)) {
				t.Errorf("%s of %s = %v, want %q", name, test.name, check.err, check.want)
			}
		}
	}
}
