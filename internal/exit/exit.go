// SPDX-License-Identifier: Apache-2.0

// Package exit says what a failure means to the caller: an exit code, a stable reason, and a sentence with the next step.
//
// Every noun returns these errors for refusals a script must be able to tell apart; an error of any other type is a
// runtime failure (code 1).
package exit

import (
	"errors"
	"fmt"
)

// Exit codes of every tool, as the contract lists them.
const (
	OK           = 0
	Failure      = 1   // runtime failure
	Usage        = 2   // usage error, stdout empty
	CheckFailed  = 3   // a check or gate failed
	Inconclusive = 4   // no data, too few runs
	BadInput     = 5   // malformed input beyond the allowance
	Unsupported  = 69  // this kernel or host lacks it
	Refused      = 75  // not safe now, or busy: try again later
	Privilege    = 77  // a capability or permission is missing
	Timeout      = 124 // own --timeout ran out
	Interrupted  = 130 // INT before the result
	ReaderGone   = 141 // the reader of stdout went away
	Terminated   = 143 // TERM before the result
)

// Error is a failure with the exit code it leads to and a stable snake_case reason for records.
type Error struct {
	Code   int
	Reason string
	Err    error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// New returns an Error whose sentence is formatted as by fmt.Errorf.
func New(code int, reason, format string, args ...any) *Error {
	return &Error{Code: code, Reason: reason, Err: fmt.Errorf(format, args...)}
}

// Code returns the exit code and the reason of err: 0 and "done" for nil, 1 and "error" where no Error is in the chain.
// Of several joined errors the worst one in the contract's order (1 > 5 > 3 > 4 > 0) wins, and any code outside that
// order (2, 69, 75, 77, 124 ...) wins over 3 and 4 but not over 1.
func Code(err error) (code int, reason string) {
	if err == nil {
		return OK, "done"
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		code, reason = OK, "done"
		for _, e := range joined.Unwrap() {
			if c, r := Code(e); severity(c) > severity(code) {
				code, reason = c, r
			}
		}
		return code, reason
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code, e.Reason
	}
	return Failure, "error"
}

func severity(code int) int {
	switch code {
	case OK:
		return 0
	case Inconclusive:
		return 1
	case CheckFailed:
		return 2
	case BadInput:
		return 4
	case Failure:
		return 5
	}
	return 3
}
