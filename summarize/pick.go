// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"

	"github.com/tidwall/gjson"
)

// picker takes the values of some keys out of a record in one walk. A key is compared whole, so a dot in it means
// nothing, but for the prefix "labels.", which looks inside the labels.
type picker struct {
	keys []string
	// values are those of the last record, one a key; a missing one does not exist.
	values []gjson.Result
}

// labelPrefix marks a key that is looked up in the labels.
const labelPrefix = "labels."

// newPicker returns a picker of these keys; one may stand twice.
func newPicker(keys []string) *picker {
	return &picker{keys: keys, values: make([]gjson.Result, len(keys))}
}

// pick walks over a valid JSON object. Of a key that stands twice in it the last value counts, as in encoding/json.
func (p *picker) pick(line string) {
	clear(p.values)
	gjson.Parse(line).ForEach(func(key, value gjson.Result) bool {
		p.set("", key.Str, value)
		if key.Str == "labels" {
			p.forgetLabels()
			value.ForEach(func(key, value gjson.Result) bool {
				p.set(labelPrefix, key.Str, value)
				return true
			})
		}
		return true
	})
}

// forgetLabels lets the last of several labels count.
func (p *picker) forgetLabels() {
	for i, want := range p.keys {
		if strings.HasPrefix(want, labelPrefix) {
			p.values[i] = gjson.Result{}
		}
	}
}

func (p *picker) set(prefix, key string, value gjson.Result) {
	for i, want := range p.keys {
		if rest, ok := strings.CutPrefix(want, labelPrefix); ok == (prefix != "") && rest == key {
			p.values[i] = value
		}
	}
}
