// SPDX-License-Identifier: Apache-2.0

package record

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// SchemaTyper lets a type that encodes itself say which JSON type it becomes.
type SchemaTyper interface{ SchemaType() string }

// Schema returns the JSON Schema (draft 2020-12) of a tool's lines: one branch an event, no unknown keys.
func Schema(tool string, events []Event) ([]byte, error) {
	branches := make([]any, 0, len(events))
	for _, e := range events {
		branch, err := branch(tool, e)
		if err != nil {
			return nil, fmt.Errorf("schema of %s %s: %w", tool, e.Name, err)
		}
		branches = append(branches, branch)
	}
	schema := object{
		{"$schema", "https://json-schema.org/draft/2020-12/schema"},
		{"title", tool},
		{"oneOf", branches},
	}
	return json.MarshalIndent(schema, "", "  ")
}

func branch(tool string, e Event) (object, error) {
	props := object{
		{"ts", object{{"type", "string"}, {"pattern", `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$`}}},
		{"tool", object{{"const", tool}}},
		{"event", object{{"const", e.Name}}},
		{"run_id", object{{"type", "string"}, {"minLength", 1}}},
		{"proc", object{{"type", "string"}, {"pattern", "^[0-9a-f]{8}$"}}},
		{"seq", object{{"type", "integer"}, {"minimum", 1}}},
		{"mono_ns", object{{"type", "integer"}, {"minimum", 0}}},
	}
	required := []string{"ts", "tool", "event", "run_id", "proc", "seq", "mono_ns"}
	own, needed, err := properties(reflect.TypeOf(e.Fields))
	if err != nil {
		return nil, err
	}
	if err := unique(append(append(object{{"labels", nil}}, props...), own...)); err != nil {
		return nil, err
	}
	props = append(props, own...)
	props = append(props, member{"labels", object{
		{"type", "object"}, {"additionalProperties", object{{"type", "string"}}}}})
	out := object{
		{"title", e.Name},
		{"description", e.Doc},
		{"type", "object"},
		{"properties", props},
		{"required", append(required, needed...)},
	}
	if e.Pattern != "" {
		out = append(out, member{"patternProperties", object{{e.Pattern, object{{"type", []string{"number", "null"}}}}}})
	}
	return append(out, member{"additionalProperties", false}), nil
}

// unique refuses a key that stands twice, of which encoding/json would drop one or both without a word.
func unique(o object) error {
	seen := map[string]bool{}
	for _, m := range o {
		if seen[m.key] {
			return fmt.Errorf("key %q stands twice", m.key)
		}
		seen[m.key] = true
	}
	return nil
}

// properties returns the schema of a struct's fields in order, embedded structs flattened as encoding/json does.
func properties(t reflect.Type) (props object, required []string, err error) {
	if t.Kind() != reflect.Struct {
		return nil, nil, fmt.Errorf("fields are a %s, not a struct", t)
	}
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("json")
		name, opts, _ := strings.Cut(tag, ",")
		switch {
		case name == "-":
			continue
		case f.Anonymous && tag == "":
			inner, need, err := properties(f.Type)
			if err != nil {
				return nil, nil, err
			}
			props, required = append(props, inner...), append(required, need...)
			continue
		case !f.IsExported():
			continue
		case name == "":
			return nil, nil, fmt.Errorf("field %s of %s has no json name", f.Name, t)
		}
		p, err := property(f.Type)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
		if doc := fieldDoc(f); doc != "" {
			p = append(p, member{"description", doc})
		}
		if enum := enumOf(f); enum != nil {
			p = append(p, member{"enum", enum})
		}
		if file := f.Tag.Get("kernel"); file != "" {
			p = append(p, member{"x-kernel", file})
		}
		props = append(props, member{name, p})
		if opts != "omitempty" && opts != "omitzero" {
			required = append(required, name)
		}
	}
	return props, required, unique(props)
}

// enumOf lists the values that a string may have. Options, which are kong fields too, may name them by a variable that
// only kong knows.
func enumOf(f reflect.StructField) []any {
	tag, t := f.Tag.Get("enum"), f.Type
	nullable := t.Kind() == reflect.Pointer
	if nullable {
		t = t.Elem()
	}
	if tag == "" || t.Kind() != reflect.String || strings.Contains(tag, "${") {
		return nil
	}
	var values []any
	for value := range strings.SplitSeq(tag, ",") {
		values = append(values, value)
	}
	if nullable {
		values = append(values, nil)
	}
	return values
}

// fieldDoc prefers the doc tag; options, which are kong fields too, have their help text instead.
func fieldDoc(f reflect.StructField) string {
	if doc := f.Tag.Get("doc"); doc != "" {
		return doc
	}
	return f.Tag.Get("help")
}

func property(t reflect.Type) (object, error) {
	null := false
	if t.Kind() == reflect.Pointer {
		null, t = true, t.Elem()
	}
	var kind string
	var extra object
	switch v := reflect.Zero(t).Interface().(type) {
	case SchemaTyper:
		kind = v.SchemaType()
	case json.Marshaler, encoding.TextMarshaler:
		return nil, fmt.Errorf("a %s encodes itself: give it a SchemaType", t)
	default:
		switch t.Kind() {
		case reflect.String:
			kind = "string"
		case reflect.Bool:
			kind = "boolean"
		case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
			reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
			kind = "integer"
		case reflect.Float32, reflect.Float64:
			kind = "number"
		case reflect.Slice, reflect.Array:
			if t.Elem().Kind() == reflect.Uint8 {
				return nil, fmt.Errorf("a %s would be written as base64; give it as a string", t)
			}
			kind = "array"
			null = null || t.Kind() == reflect.Slice
			items, err := property(t.Elem())
			if err != nil {
				return nil, err
			}
			extra = object{{"items", items}}
		case reflect.Map:
			kind = "object"
			null = true
			values, err := property(t.Elem())
			if err != nil {
				return nil, err
			}
			extra = object{{"additionalProperties", values}}
		case reflect.Struct:
			kind = "object"
			props, required, err := properties(t)
			if err != nil {
				return nil, err
			}
			extra = object{{"properties", props}, {"required", required}, {"additionalProperties", false}}
		default:
			return nil, fmt.Errorf("a %s has no JSON form here", t)
		}
	}
	if null {
		return append(object{{"type", []string{kind, "null"}}}, extra...), nil
	}
	return append(object{{"type", kind}}, extra...), nil
}

// object is a JSON object that keeps its order, so that schema and documentation read in the record's order.
type object []member

type member struct {
	key   string
	value any
}

func (o object) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, m := range o {
		if i > 0 {
			b = append(b, ',')
		}
		key, err := encode(m.key)
		if err != nil {
			return nil, err
		}
		value, err := encode(m.value)
		if err != nil {
			return nil, err
		}
		b = append(append(append(b, key...), ':'), value...)
	}
	return append(b, '}'), nil
}
