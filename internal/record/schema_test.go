// SPDX-License-Identifier: Apache-2.0

package record

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type inner struct {
	Deep int `json:"deep" doc:"embedded"`
}

type asText struct{}

func (asText) MarshalText() ([]byte, error) { return []byte("7"), nil }

type typed struct{ asText }

func (typed) SchemaType() string { return "string" }

func TestSchema(t *testing.T) {
	type fields struct {
		inner
		Word     string             `json:"word" doc:"one word"`
		Flag     bool               `json:"flag" help:"an option's help is its description"`
		Count    uint64             `json:"count" kernel:"mm_stat"`
		Share    float64            `json:"share"`
		Maybe    *int64             `json:"maybe"`
		Choice   string             `json:"choice" enum:"a,b"`
		Perhaps  *string            `json:"perhaps" enum:"a,b"`
		Variable string             `json:"variable" enum:"${choices}"`
		List     []string           `json:"list"`
		Pair     [2]int             `json:"pair"`
		Map      map[string]float64 `json:"map"`
		Object   struct {
			In string `json:"in"`
		} `json:"object"`
		Own     typed  `json:"own"`
		Seldom  *inner `json:"seldom,omitempty"`
		Sparse  int    `json:"sparse,omitzero"`
		Ignored int    `json:"-"`
		private int
	}
	text, err := Schema("tool", []Event{{Name: "sample", Doc: "a sample", Fields: fields{}, Pattern: "^p[0-9]+$"}})
	if err != nil {
		t.Fatal(err)
	}
	_ = fields{}.private
	var got struct {
		Schema string `json:"$schema"`
		Title  string
		OneOf  []struct {
			Properties           map[string]map[string]any
			PatternProperties    map[string]any
			Required             []string
			AdditionalProperties bool
		}
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	branch := got.OneOf[0]
	word := map[string]any{"type": "string", "description": "one word"}
	want := map[string]map[string]any{
		"deep":     {"type": "integer", "description": "embedded"},
		"word":     word,
		"flag":     {"type": "boolean", "description": "an option's help is its description"},
		"count":    {"type": "integer", "x-kernel": "mm_stat"},
		"share":    {"type": "number"},
		"maybe":    {"type": []any{"integer", "null"}},
		"choice":   {"type": "string", "enum": []any{"a", "b"}},
		"perhaps":  {"type": []any{"string", "null"}, "enum": []any{"a", "b", nil}},
		"variable": {"type": "string"},
		"list":     {"type": []any{"array", "null"}, "items": map[string]any{"type": "string"}},
		"pair":     {"type": "array", "items": map[string]any{"type": "integer"}},
		"map":      {"type": []any{"object", "null"}, "additionalProperties": map[string]any{"type": "number"}},
		"object": {"type": "object", "properties": map[string]any{"in": map[string]any{"type": "string"}},
			"required": []any{"in"}, "additionalProperties": false},
		"own": {"type": "string"},
		"seldom": {"type": []any{"object", "null"}, "properties": map[string]any{"deep": map[string]any{"type": "integer", "description": "embedded"}},
			"required": []any{"deep"}, "additionalProperties": false},
		"sparse": {"type": "integer"},
	}
	for _, envelope := range []string{"ts", "tool", "event", "run_id", "proc", "seq", "mono_ns", "labels"} {
		if branch.Properties[envelope] == nil {
			t.Errorf("the schema lacks %s", envelope)
		}
		delete(branch.Properties, envelope)
	}
	if diff := cmp.Diff(want, branch.Properties); diff != "" {
		t.Errorf("properties: -want +got\n%s", diff)
	}
	if diff := cmp.Diff(map[string]any{"^p[0-9]+$": map[string]any{"type": []any{"number", "null"}}}, branch.PatternProperties); diff != "" {
		t.Errorf("patternProperties: -want +got\n%s", diff)
	}
	required := strings.Join(branch.Required, " ")
	if want := "ts tool event run_id proc seq mono_ns deep word flag count share maybe choice perhaps variable list pair map object own"; required != want {
		t.Errorf("required = %s, want %s", required, want)
	}
	if branch.AdditionalProperties || got.Title != "tool" || !strings.Contains(got.Schema, "2020-12") {
		t.Errorf("schema head = %+v", got)
	}
}

func TestSchemaRefuses(t *testing.T) {
	type twice struct {
		inner
		Deep string `json:"deep"`
	}
	for _, test := range []struct {
		name   string
		fields any
		want   string
	}{
		{"a key of the envelope", struct {
			Seq int `json:"seq"`
		}{}, `"seq" stands twice`},
		{"labels", struct {
			Labels string `json:"labels"`
		}{}, `"labels" stands twice`},
		{"a key of an embedded struct", twice{}, `"deep" stands twice`},
		{"a key twice in a nested struct", struct {
			In twice `json:"in"`
		}{}, `"deep" stands twice`},
		{"a field without a name", struct{ Bare int }{}, "no json name"},
		{"no struct", 7, "not a struct"},
		{"a channel", struct {
			C chan int `json:"c"`
		}{}, "no JSON form"},
		{"an interface", struct {
			A any `json:"a"`
		}{}, "no JSON form"},
		{"a type that encodes itself", struct {
			T asText `json:"t"`
		}{}, "SchemaType"},
		{"a time", struct {
			T time.Time `json:"t"`
		}{}, "SchemaType"},
		{"bytes", struct {
			B []byte `json:"b"`
		}{}, "base64"},
	} {
		if _, err := Schema("tool", []Event{{Name: "e", Fields: test.fields}}); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: Schema = %v, want an error with %q", test.name, err, test.want)
		}
	}
}
