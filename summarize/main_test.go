// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"memline/internal/record/recordtest"
)

// output is what summarize has printed.
type output struct {
	code           int
	stdout, stderr string
	records        []map[string]any
}

// summarize runs the tool on an input and validates every line that it writes.
func summarize(t testing.TB, input []byte, args ...string) output {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(context.Background(), args, bytes.NewReader(input), &stdout, &stderr)
	out := output{code: code, stdout: stdout.String(), stderr: stderr.String()}
	if !strings.HasPrefix(out.stdout, "{") {
		return out
	}
	schema, err := ownSchema()
	if err != nil {
		t.Fatal(err)
	}
	if err := recordtest.Check(schema, stdout.Bytes()); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.stdout) {
		var r map[string]any
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		out.records = append(out.records, r)
	}
	return out
}

var ownSchema = sync.OnceValues(func() (*jsonschema.Schema, error) {
	var text bytes.Buffer
	run(context.Background(), []string{"--schema"}, nil, &text, &text)
	return recordtest.Schema(text.Bytes())
})

// event returns the records with this event.
func (o output) event(name string) (found []map[string]any) {
	for _, r := range o.records {
		if r["event"] == name {
			found = append(found, r)
		}
	}
	return found
}
