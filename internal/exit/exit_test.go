// SPDX-License-Identifier: Apache-2.0

package exit

import (
	"errors"
	"fmt"
	"testing"
)

func TestCode(t *testing.T) {
	refused := New(Refused, "memory", "not enough memory: %w", errors.New("cause"))
	for _, tt := range []struct {
		name   string
		err    error
		code   int
		reason string
	}{
		{"nil", nil, 0, "done"},
		{"plain", errors.New("x"), 1, "error"},
		{"typed", refused, 75, "memory"},
		{"wrapped", fmt.Errorf("plan: %w", refused), 75, "memory"},
		{"joined, bad input beats check", errors.Join(New(CheckFailed, "gate", "x"), New(BadInput, "bad_lines", "y")), 5, "bad_lines"},
		{"joined, failure beats all", errors.Join(New(BadInput, "bad_lines", "y"), errors.New("io")), 1, "error"},
		{"joined, check beats inconclusive", errors.Join(New(Inconclusive, "no_data", "y"), New(CheckFailed, "gate", "x")), 3, "gate"},
		{"joined, refusal beats check", errors.Join(New(CheckFailed, "gate", "x"), refused), 75, "memory"},
	} {
		if code, reason := Code(tt.err); code != tt.code || reason != tt.reason {
			t.Errorf("%s: Code = %d %q, want %d %q", tt.name, code, reason, tt.code, tt.reason)
		}
	}
	if !errors.Is(refused, refused.Err) || refused.Error() != "not enough memory: cause" {
		t.Errorf("Error does not unwrap to its sentence: %v", refused)
	}
}
