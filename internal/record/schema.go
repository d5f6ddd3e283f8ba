// SPDX-License-Identifier: Apache-2.0

package record

import (
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
	seen := map[string]bool{"labels": true}
	for _, p := range props {
		seen[p.key] = true
	}
	for _, p := range own {
		if seen[p.key] {
			return nil, fmt.Errorf("key %q stands twice", p.key)
		}
		seen[p.key] = true
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
		if enum := f.Tag.Get("enum"); enum != "" && f.Type.Kind() == reflect.String {
			p = append(p, member{"enum", strings.Split(enum, ",")})
		}
		if file := f.Tag.Get("kernel"); file != "" {
			p = append(p, member{"x-kernel", file})
		}
		props = append(props, member{name, p})
		if opts != "omitempty" {
			required = append(required, name)
		}
	}
	return props, required, nil
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
