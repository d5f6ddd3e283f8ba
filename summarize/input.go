// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/tidwall/gjson"
	"golang.org/x/term"

	"memline/internal/cli"
	"memline/internal/exit"
)

const (
	// maxLine bounds a line and with it the memory; memline's own records are at most 4096 bytes.
	maxLine = 1 << 20
	// maxShallow is the length up to which a line's nesting cannot exhaust the stack of the validator.
	maxShallow = 64 << 10
	maxDepth   = 1000
	// badShown is how many bad lines are reported one by one.
	badShown = 3
	// drain is how long, after INT or TERM, what the writers still send is taken in: a signal to a whole pipeline
	// reaches them as well, and their last records matter.
	drain = 250 * time.Millisecond
)

// tally counts what was read; lines = used + ignored + bad + truncated.
type tally struct {
	Files     int   `json:"file_count" doc:"inputs read"`
	Bytes     int64 `json:"bytes" doc:"bytes read"`
	Lines     int64 `json:"lines" doc:"lines read, blank ones among them"`
	Used      int64 `json:"used" doc:"records that the result is made of"`
	Ignored   int64 `json:"ignored" doc:"blank lines and records that have nothing to do with it"`
	Bad       int64 `json:"bad" doc:"lines that are not a JSON object, or longer than 1 MiB"`
	Truncated int64 `json:"truncated" doc:"last lines without a newline that were cut off"`
}

// input reads records line by line and hands them on.
type input struct {
	tally
	env *cli.Env
	use func(line string) bool // takes a valid object and says whether it mattered

	name     string // of the current file
	number   int64  // of the line in it
	carry    []byte // a line's beginning
	overlong bool   // the line in hand is too long to keep
	firstBad string
	shown    int // bad lines reported one by one
}

// readAll reads the files in order; "-" is standard input.
func (in *input) readAll(ctx context.Context, files []string) error {
	for _, name := range files {
		if err := in.open(ctx, name); err != nil {
			return err
		}
		if ctx.Err() != nil {
			break
		}
	}
	in.env.Lost += uint64(in.Bad + in.Truncated)
	return nil
}

// checkFiles finds missing files before anything is read.
func checkFiles(files []string) error {
	for _, name := range files {
		if name == "-" {
			continue
		}
		info, err := os.Stat(name)
		if err != nil {
			return fmt.Errorf("reading records: %w", err)
		}
		if info.IsDir() {
			return fmt.Errorf("reading records: %s is a folder; name the files in it", name)
		}
	}
	return nil
}

// checkStdin refuses to wait for records that somebody would have to type.
func checkStdin(files []string, stdin io.Reader) error {
	if f, ok := stdin.(*os.File); ok && slices.Contains(files, "-") && term.IsTerminal(int(f.Fd())) {
		return exit.New(exit.Usage, "usage", "standard input is a terminal; name a file of records, or pipe some in")
	}
	return nil
}

func (in *input) open(ctx context.Context, name string) error {
	in.name, in.number, in.carry, in.overlong = name, 0, in.carry[:0], false
	in.Files++
	if name == "-" {
		in.name = "standard input"
		return in.read(ctx, in.env.Stdin)
	}
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("reading records: %w", err)
	}
	defer f.Close()
	return in.read(ctx, f)
}

// block is what one read has brought.
type block struct {
	data []byte
	err  error
}

// read takes in one input until its end, or until the context ends and what was on its way has arrived.
func (in *input) read(ctx context.Context, r io.Reader) error {
	full, empty, quit := make(chan block), make(chan []byte, 2), make(chan struct{})
	defer close(quit)
	empty <- make([]byte, 256<<10)
	empty <- make([]byte, 256<<10)
	go pump(r, full, empty, quit)
	stop := ctx.Done()
	var enough <-chan time.Time
	for {
		select {
		case b := <-full:
			in.Bytes += int64(len(b.data))
			in.cut(b.data)
			if b.err == io.EOF {
				in.last()
				return nil
			}
			if b.err != nil {
				return fmt.Errorf("reading %s: %w", in.name, b.err)
			}
			empty <- b.data[:cap(b.data)]
		case <-stop:
			code, _ := exit.Code(cli.Cause(ctx))
			if code != exit.Interrupted && code != exit.Terminated {
				return cli.Cause(ctx)
			}
			stop, enough = nil, time.After(drain)
		case <-enough:
			return nil // the line in hand has not ended and is nobody's record yet
		}
	}
}

func pump(r io.Reader, full chan<- block, empty <-chan []byte, quit <-chan struct{}) {
	for {
		select {
		case buf := <-empty:
			n, err := r.Read(buf)
			select {
			case full <- block{buf[:n], err}:
			case <-quit:
				return
			}
			if err != nil {
				return
			}
		case <-quit:
			return
		}
	}
}

// cut takes the next bytes of a file and hands on the lines that they complete.
func (in *input) cut(data []byte) {
	for {
		end := bytes.IndexByte(data, '\n')
		if end < 0 {
			break
		}
		in.number++
		line := data[:end]
		if len(in.carry) > 0 {
			line = append(in.carry, line...)
		}
		if in.overlong || len(line) > maxLine {
			in.bad("line_too_long", "longer than 1 MiB")
		} else {
			in.line(line, false)
		}
		in.carry, in.overlong = in.carry[:0], false
		data = data[end+1:]
	}
	if in.overlong = in.overlong || len(in.carry)+len(data) > maxLine; !in.overlong {
		in.carry = append(in.carry, data...)
	}
}

// last hands on what stands after the last newline.
func (in *input) last() {
	if in.overlong {
		in.number++
		in.bad("line_too_long", "longer than 1 MiB")
	} else if len(in.carry) > 0 {
		in.number++
		in.line(in.carry, true)
	}
}

// line counts one line, and hands it on when it is a record.
func (in *input) line(line []byte, last bool) {
	if in.number == 1 {
		line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
	}
	line = bytes.TrimSpace(line)
	switch {
	case len(line) == 0:
		in.Lines++
		in.Ignored++
	case len(line) > maxShallow && depth(line) > maxDepth:
		in.bad("nested_too_deep", "nested deeper than 1000 levels")
	case !gjson.ValidBytes(line):
		if last {
			in.Lines++
			in.Truncated++
			return
		}
		in.bad("not_json", fmt.Sprintf("not valid JSON: %.40q", line))
	case line[0] != '{':
		in.bad("not_an_object", fmt.Sprintf("not a JSON object: %.40q", line))
	default:
		in.Lines++
		if in.use(string(line)) {
			in.Used++
		} else {
			in.Ignored++
		}
	}
}

func (in *input) bad(reason, detail string) {
	in.Lines++
	in.Bad++
	where := fmt.Sprintf("%s, line %d: %s", in.name, in.number, detail)
	if in.firstBad == "" {
		in.firstBad = where
	}
	if in.shown < badShown {
		in.shown++
		in.env.Warn(reason, "%s; it is left out", where)
	}
}

// depth returns how deeply the brackets of a line are nested.
func depth(line []byte) int {
	open, deepest, quoted := 0, 0, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			open++
			deepest = max(deepest, open)
		case c == ']' || c == '}':
			open--
		}
	}
	return deepest
}

// verdict is the error of an input that was not as it should be: bad lines, or no lines at all.
func (in *input) verdict() error {
	if in.Bad > 0 {
		return exit.New(exit.BadInput, "bad_lines", "%d of %d lines are not records and were left out, the first in %s", in.Bad, in.Lines, in.firstBad)
	}
	if in.Lines == in.Truncated {
		return exit.New(exit.Inconclusive, "no_data", "the input holds no record; check what wrote it")
	}
	return nil
}
