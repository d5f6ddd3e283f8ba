// SPDX-License-Identifier: Apache-2.0

package record_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/sys/unix"

	"memline/internal/record"
	"memline/internal/record/recordtest"
)

// TestMain lets the test binary be a second writer to a pipe.
func TestMain(m *testing.M) {
	if os.Getenv("RECORD_TEST_WRITER") != "" {
		s, err := record.NewStream(os.Stdout, record.Options{Tool: "writer"})
		if err != nil {
			panic(err)
		}
		for n := range writerLines {
			s.Emit("sample", sample{Text: strings.Repeat("x", n%4500)})
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// sample has a field of each sort.
type sample struct {
	Text  string            `json:"text" doc:"any text"`
	Texts []string          `json:"texts" doc:"more of it"`
	Named map[string]string `json:"named" doc:"by name"`
	Count int64             `json:"count" doc:"how many"`
	Ratio *float64          `json:"ratio" doc:"null when unknown"`
	A     struct {
		VeryLongKeyThatMustNeverBeClippedWhateverComes string `json:"very_long_key_that_must_never_be_clipped_whatever_comes" doc:"nested"`
	} `json:"a" doc:"an object"`
}

func events() []record.Event {
	return append([]record.Event{{Name: "start", Doc: "d", Fields: record.Start{}}, {Name: "sample", Doc: "d", Fields: sample{}}}, record.Common()...)
}

func newSchema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	text, err := record.Schema("tool", events())
	if err != nil {
		t.Fatal(err)
	}
	schema, err := recordtest.Schema(text)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// validate holds one line against the schema and the envelope's promises.
func validate(t *testing.T, schema *jsonschema.Schema, line []byte) map[string]any {
	t.Helper()
	if len(line) > record.MaxLine || !bytes.HasSuffix(line, []byte("\n")) || bytes.Count(line, []byte("\n")) != 1 {
		t.Fatalf("not one whole line of at most %d bytes: %d bytes, %d newlines", record.MaxLine, len(line), bytes.Count(line, []byte("\n")))
	}
	if !utf8.Valid(line) {
		t.Fatalf("not valid UTF-8: %q", line)
	}
	var doc any
	if err := json.Unmarshal(line, &doc); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	if err := schema.Validate(doc); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	return doc.(map[string]any)
}

func emit(t *testing.T, o record.Options, fields any) (line []byte, s *record.Stream) {
	t.Helper()
	var out bytes.Buffer
	o.Tool = "tool"
	s, err := record.NewStream(&out, o)
	if err != nil {
		t.Fatal(err)
	}
	s.Emit("sample", fields)
	return out.Bytes(), s
}

func TestEnvelope(t *testing.T) {
	var out bytes.Buffer
	s, err := record.NewStream(&out, record.Options{Tool: "tool", RunID: "run-1", Labels: map[string]string{"b": "2", "a": "<1>"}})
	if err != nil {
		t.Fatal(err)
	}
	s.Emit("sample", sample{Text: "a & b"})
	s.Emit("warning", record.Note{Reason: "r", Detail: "d"})
	s.Emit("sample", struct{}{})
	lines := strings.SplitAfter(out.String(), "\n")
	want := regexp.MustCompile(`^\{"ts":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z","tool":"tool","event":"sample","run_id":"run-1","proc":"[0-9a-f]{8}","seq":1,"mono_ns":0,"text":"a & b",.*,"labels":\{"a":"<1>","b":"2"\}\}` + "\n$")
	if !want.MatchString(lines[0]) {
		t.Errorf("first line = %s, want %s", lines[0], want)
	}
	if !strings.Contains(lines[2], `"seq":3,`) || !strings.Contains(lines[2], `,"labels":`) {
		t.Errorf("a record without fields = %s", lines[2])
	}
	if s.Seq() != 3 || s.Warnings() != 1 || s.RunID() != "run-1" || s.Err() != nil {
		t.Errorf("Seq, Warnings, RunID, Err = %d, %d, %s, %v", s.Seq(), s.Warnings(), s.RunID(), s.Err())
	}
	_, other := emit(t, record.Options{}, sample{})
	_, third := emit(t, record.Options{}, sample{})
	if other.RunID() == "" || other.RunID() == third.RunID() {
		t.Errorf("run ids of two runs = %q, %q, want two", other.RunID(), third.RunID())
	}
}

// TestClip fills each place where text can stand with text of every awkward sort and of every length.
func TestClip(t *testing.T) {
	schema := newSchema(t)
	for _, char := range []string{"x", "é", "€", "😀", `"`, `\`, "\n", "\x00", "\xff", "\u2028", "<", "\u007f"} {
		for _, length := range []int{1, 15, 16, 17, 500, 511, 512, 513, 3000, 100_000} {
			text := strings.Repeat(char, length)
			f := sample{Text: text, Texts: []string{text, text}, Named: map[string]string{"k": text}}
			f.A.VeryLongKeyThatMustNeverBeClippedWhateverComes = text
			line, s := emit(t, record.Options{Labels: map[string]string{"l": "v"}}, f)
			if err := s.Err(); err != nil {
				t.Fatalf("%q times %d: %v", char, length, err)
			}
			got := validate(t, schema, line)["text"].(string)
			whole := strings.ToValidUTF8(text, "\ufffd")
			if head, clipped := strings.CutSuffix(got, "..."); got != whole && (!clipped || !strings.HasPrefix(whole, head)) && utf8.ValidString(text) {
				t.Errorf("%q times %d became %.60q, want it whole or its head and ...", char, length, got)
			}
			if length <= 16 && len(char) == 1 && char == "x" && got != text {
				t.Errorf("a short text was clipped to %q", got)
			}
		}
	}
}

// TestClipHard clips so many texts that each may keep only a few letters; keys keep all of theirs.
func TestClipHard(t *testing.T) {
	f := sample{Texts: slices.Repeat([]string{strings.Repeat("text ", 100)}, 120)}
	line, s := emit(t, record.Options{}, f)
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	validate(t, newSchema(t), line)
}

// TestClipSurrogates does not cut between the two escapes of one character, which another program's JSON may hold.
func TestClipSurrogates(t *testing.T) {
	for shift := range 12 {
		raw := json.RawMessage(`{"text":"` + strings.Repeat("x", shift) + strings.Repeat(`\ud83d\ude00`, 1000) + `"}`)
		var out bytes.Buffer
		s, err := record.NewStream(&out, record.Options{Tool: "tool"})
		if err != nil {
			t.Fatal(err)
		}
		s.Emit("sample", raw)
		if err := s.Err(); err != nil {
			t.Fatal(err)
		}
		var got struct{ Text string }
		if err := json.Unmarshal(out.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(got.Text, "\ufffd") {
			t.Errorf("shifted by %d: half a character was kept: %q", shift, got.Text)
		}
	}
}

func FuzzEmit(f *testing.F) {
	f.Add("text", "label", "run", 1)
	f.Add("\xff\xfe\\\"\u2028", "\x00", "r\n", 700)
	f.Add(strings.Repeat("😀", 50), "é", "", 4096)
	schema := newSchema(f)
	f.Fuzz(func(t *testing.T, text, label, runID string, times int) {
		const longest = 64 << 10
		text = strings.Repeat(text, min(max(times, 0), longest/max(len(text), 1)))
		var out bytes.Buffer
		s, err := record.NewStream(&out, record.Options{Tool: "tool", RunID: runID, Labels: map[string]string{"l": label}})
		if err != nil {
			return // too long, refused before anything is written
		}
		fields := sample{Text: text, Texts: []string{label, text}, Named: map[string]string{"k": text}, Count: int64(times)}
		fields.A.VeryLongKeyThatMustNeverBeClippedWhateverComes = text
		s.Emit("sample", fields)
		if err := s.Err(); err != nil {
			t.Fatal(err)
		}
		got := validate(t, schema, out.Bytes())
		if want := strings.ToValidUTF8(label, "\ufffd"); utf8.ValidString(label) && got["labels"].(map[string]any)["l"] != want {
			t.Errorf("label = %q, want %q whole", got["labels"], want)
		}
	})
}

func TestRefusedOptions(t *testing.T) {
	for name, o := range map[string]record.Options{
		"labels": {Labels: map[string]string{"k": strings.Repeat("x", 1020)}},
		"run id": {RunID: strings.Repeat("\x01", 50)},
	} {
		if _, err := record.NewStream(io.Discard, o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("NewStream with long %s = %v, want an error that names them", name, err)
		}
	}
	if _, err := record.NewStream(io.Discard, record.Options{RunID: strings.Repeat("x", 254), Labels: map[string]string{"k": strings.Repeat("x", 1016)}}); err != nil {
		t.Errorf("NewStream at the limits: %v", err)
	}
}

// TestUnencodable leaves out what cannot be a record, says so once, and goes on: the stream still gets its end.
func TestUnencodable(t *testing.T) {
	var out bytes.Buffer
	var told []error
	s, err := record.NewStream(&out, record.Options{Tool: "tool", OnError: func(err error) { told = append(told, err) }})
	if err != nil {
		t.Fatal(err)
	}
	nan := math.NaN()
	s.Emit("sample", sample{Count: 1})
	s.Emit("sample", sample{Ratio: &nan})
	s.Emit("sample", []int{1})
	s.Emit("sample", struct {
		Many []int `json:"many"`
	}{make([]int, 5000)})
	s.Emit("sample", sample{Count: 2})
	if len(told) != 1 || s.Err() != told[0] {
		t.Errorf("OnError was told %v, Err = %v, want the first failure once", told, s.Err())
	}
	lines := bytes.SplitAfter(bytes.TrimSpace(out.Bytes()), []byte("\n"))
	if len(lines) != 2 || s.Seq() != 2 {
		t.Errorf("%d lines, Seq %d, want 2 without a gap", len(lines), s.Seq())
	}
}

func TestFinite(t *testing.T) {
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		if got := record.Finite(v); got != nil {
			t.Errorf("Finite(%v) = %v, want nil", v, *got)
		}
	}
	if got := record.Finite(1.5); got == nil || *got != 1.5 {
		t.Errorf("Finite(1.5) = %v", got)
	}
	if got := record.Known(7); *got != 7 {
		t.Errorf("Known(7) = %d", *got)
	}
}

// TestConcurrent emits from many goroutines: every line whole, seq without a gap and in order.
func TestConcurrent(t *testing.T) {
	var out bytes.Buffer
	s, err := record.NewStream(&out, record.Options{Tool: "tool"})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for n := range 100 {
				s.Emit("sample", sample{Count: int64(g*100 + n)})
			}
		})
	}
	wg.Wait()
	for i, line := range bytes.Split(bytes.TrimSpace(out.Bytes()), []byte("\n")) {
		var got struct{ Seq int }
		if err := json.Unmarshal(line, &got); err != nil || got.Seq != i+1 {
			t.Fatalf("line %d has seq %d, %v", i+1, got.Seq, err)
		}
	}
	if s.Seq() != 800 {
		t.Errorf("Seq = %d, want 800", s.Seq())
	}
}

const writerLines = 5000

// TestSharedPipe lets two processes write to one pipe: no line is torn, none is lost.
func TestSharedPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "RECORD_TEST_WRITER=1")
		cmd.Stdout, cmd.Stderr = w, os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := cmd.Wait(); err != nil {
				t.Errorf("writer: %v", err)
			}
		})
	}
	w.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	seq := map[string]int{}
	for line := range bytes.Lines(text) {
		var got struct {
			Proc string
			Seq  int
		}
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatalf("torn line: %v: %.200s", err, line)
		}
		if got.Seq != seq[got.Proc]+1 {
			t.Fatalf("seq %d of %s follows %d", got.Seq, got.Proc, seq[got.Proc])
		}
		seq[got.Proc] = got.Seq
	}
	for proc, n := range seq {
		if n != writerLines {
			t.Errorf("%s wrote %d lines, want %d", proc, n, writerLines)
		}
	}
	if len(seq) != 2 {
		t.Errorf("%d processes wrote, want 2", len(seq))
	}
}

// TestReaderGone and TestDiskFull report the failure once and write nothing more.
func TestReaderGone(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r.Close()
	wantBroken(t, w, unix.EPIPE)
}

func TestDiskFull(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skipf("skipped: %v", err)
	}
	defer full.Close()
	wantBroken(t, full, unix.ENOSPC)
}

func wantBroken(t *testing.T, w io.Writer, want error) {
	t.Helper()
	counted := &countingWriter{w: w}
	var told []error
	s, err := record.NewStream(counted, record.Options{Tool: "tool", OnError: func(err error) { told = append(told, err) }})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		s.Emit("sample", sample{})
	}
	if len(told) != 1 || !errors.Is(told[0], want) || !errors.Is(s.Err(), want) {
		t.Errorf("OnError was told %v, Err = %v, want %v once", told, s.Err(), want)
	}
	if counted.writes != 1 {
		t.Errorf("%d writes, want none after the failed one", counted.writes)
	}
}

type countingWriter struct {
	w      io.Writer
	writes int
}

func (c *countingWriter) Write(b []byte) (int, error) {
	c.writes++
	return c.w.Write(b)
}

func ExampleStream() {
	s, err := record.NewStream(os.Stdout, record.Options{Tool: "zramctl", RunID: "nightly"})
	if err != nil {
		fmt.Println(err)
		return
	}
	s.Emit("warning", record.Note{Reason: "zswap_on", Detail: "zswap takes the pages before zram sees them; write N to its enabled parameter"})
}
