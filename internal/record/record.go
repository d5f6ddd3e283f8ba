// SPDX-License-Identifier: Apache-2.0

// Package record writes a process's NDJSON stream: the envelope, one line a record, never more than 4096 bytes a line,
// and the JSON Schema of what it writes.
//
// A record's own fields are a Go struct with json and doc tags; that struct is the record, its schema and its line in
// docs/events.md at once. Null is a nil pointer: a field that could not be measured stays in the record.
package record

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
	"time"
)

const (
	// Version is the schema version that every start record carries as v.
	Version = 1
	// MaxLine is the longest line, newline included, that two writers can share a pipe with: PIPE_BUF on Linux.
	// Measured: of 4096-byte lines from two writers none was torn, of 4097-byte lines 99.5 % were.
	MaxLine = 4096
	// maxLabels and maxRunID bound the caller's share of a line, as encoded, so that it can never crowd out the fields.
	maxLabels = 1024
	maxRunID  = 256
	tsLayout  = "2006-01-02T15:04:05.000000Z"
)

// Options are what a stream needs to know about its process.
type Options struct {
	Tool   string            // program name
	RunID  string            // shared by all tools of a run, at most 256 bytes encoded; empty makes a new one
	Labels map[string]string // the caller's key=value pairs; at most 1024 bytes encoded
	// OnError is called once, at the first failure, so that a run whose reader has gone can stop.
	OnError func(error)
}

// Stream writes one process's records. It is safe for concurrent use.
type Stream struct {
	mu       sync.Mutex
	w        io.Writer
	tool     string
	runID    string
	proc     string
	labels   []byte
	base     time.Time
	seq      uint64
	warnings uint64
	err      error // the first failure
	broken   bool  // a write has failed: nothing more is written
	onError  func(error)
}

// NewStream returns a stream that writes to w.
func NewStream(w io.Writer, o Options) (*Stream, error) {
	s := &Stream{w: w, tool: o.Tool, runID: o.RunID, proc: randomHex(4), onError: o.OnError}
	if s.runID == "" {
		s.runID = randomHex(8)
	}
	if runID, err := encode(s.runID); err != nil || len(runID) > maxRunID {
		return nil, errors.Join(err, fmt.Errorf("the run id takes %d bytes, at most %d fit a record", len(runID), maxRunID))
	}
	if len(o.Labels) > 0 {
		labels, err := encode(o.Labels)
		if err != nil {
			return nil, err
		}
		if len(labels) > maxLabels {
			return nil, fmt.Errorf("the labels take %d bytes, at most %d fit a record", len(labels), maxLabels)
		}
		s.labels = labels
	}
	return s, nil
}

// RunID is the run's name, for the processes that this one starts.
func (s *Stream) RunID() string { return s.runID }

// Seq is the number of records written so far.
func (s *Stream) Seq() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seq
}

// Warnings is the number of warning records written so far.
func (s *Stream) Warnings() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.warnings
}

// Err is the first failure, nil while all is well: a record that cannot be encoded, which is left out, or a failed write,
// after which nothing more is written.
func (s *Stream) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Emit writes one record: the envelope, the fields of the struct (or ordered map) given, the labels. A line that would
// be too long has its long strings clipped; a failure is kept in Err and reported to OnError, so callers need not check.
func (s *Stream) Emit(event string, fields any) {
	s.mu.Lock()
	err := s.emit(event, fields)
	first := err != nil && s.err == nil
	if first {
		s.err = err
	}
	onError := s.onError
	s.mu.Unlock()
	if first && onError != nil {
		onError(err)
	}
}

func (s *Stream) emit(event string, fields any) error {
	if s.broken {
		return s.err
	}
	now := time.Now()
	if s.seq == 0 {
		s.base = now
	}
	line, err := s.encoded(event, now, fields)
	if err != nil {
		return err
	}
	s.seq++
	if event == "warning" {
		s.warnings++
	}
	if _, err = s.w.Write(line); err != nil {
		s.broken = true
	}
	return err
}

// encoded is the record's line, its long strings clipped as far as it takes to fit.
func (s *Stream) encoded(event string, now time.Time, fields any) ([]byte, error) {
	body, err := encode(fields)
	if err != nil {
		return nil, fmt.Errorf("encoding a %s record: %w", event, err)
	}
	if len(body) < 2 || body[0] != '{' {
		return nil, fmt.Errorf("encoding a %s record: fields are not an object", event)
	}
	line := s.line(event, now, body)
	const longest, shortest = 512, 16
	for limit := longest; len(line) > MaxLine && limit >= shortest; limit /= 2 {
		line = s.line(event, now, clipStrings(body, limit))
	}
	if len(line) > MaxLine {
		return nil, fmt.Errorf("a %s record of %d bytes does not fit a line of %d", event, len(line), MaxLine)
	}
	return line, nil
}

func (s *Stream) line(event string, now time.Time, body []byte) []byte {
	b := make([]byte, 0, 512+len(body))
	b = fmt.Appendf(b, `{"ts":%q,"tool":%q,"event":%q,"run_id":`, now.UTC().Format(tsLayout), s.tool, event)
	runID, _ := encode(s.runID) // a string always encodes
	b = append(b, runID...)
	b = fmt.Appendf(b, `,"proc":%q,"seq":%d,"mono_ns":%d`, s.proc, s.seq+1, now.Sub(s.base).Nanoseconds())
	if len(body) > 2 {
		b = append(b, ',')
		b = append(b, body[1:len(body)-1]...)
	}
	if s.labels != nil {
		b = append(b, `,"labels":`...)
		b = append(b, s.labels...)
	}
	return append(b, '}', '\n')
}

// encode is json.Marshal without HTML escapes: records hold paths and expressions that people read.
func encode(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// Finite returns a pointer to v, or nil (null in a record) where v is not a finite number: JSON has no NaN, and a ratio
// over nothing is not a measurement.
func Finite(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// Known returns a pointer to v, for fields that are null where they could not be measured.
func Known[T any](v T) *T { return &v }

func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails since Go 1.24
	return hex.EncodeToString(b)
}
