// SPDX-License-Identifier: Apache-2.0

// Package undo is the journal of privileged changes: each is written down before it is made, with its owner and what is
// needed to reverse it, so that one restore puts the host back after any process was killed at any moment.
//
// The journal is a log of lines; a later line of the same id replaces an earlier one, and a line whose state is "undone"
// ends it. Entries of another boot are void: what they changed went with that boot.
package undo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"memline/internal/kernel"
)

// Entry is the last word of the journal on one change.
type Entry struct {
	ID   string    `json:"id"` // 32 hex digits, also the UUID in a swap header
	Boot string    `json:"boot"`
	Time time.Time `json:"time"`
	// Owner answers for the change now. While the change is being made or reversed that is the process at work, and For
	// is who it will belong to, or belonged to.
	Owner  Owner           `json:"owner"`
	For    *Owner          `json:"for,omitempty"`
	Kind   string          `json:"kind"`
	Undone bool            `json:"undone,omitempty"`
	Detail json.RawMessage `json:"detail,omitempty"`
}

// Journal is the journal of one state directory.
type Journal struct {
	dir  Dir
	root kernel.FS
	boot string
}

// Open opens the journal of a state directory.
func Open(dir Dir, root kernel.FS) (*Journal, error) {
	boot, err := root.BootID()
	if err != nil {
		return nil, fmt.Errorf("reading the boot id: %w", err)
	}
	return &Journal{dir: dir, root: root, boot: boot}, nil
}

// reserveBytes is the room that a change finds in the journal before it is made, so that a full disk refuses it as a whole
// and never between two of its lines, of which it has four of well under 1 KiB.
const reserveBytes = 16 << 10

// append writes one line in one write, on its own line even after a torn one. Call it under the journal's lock.
func (j *Journal) append(e Entry) error {
	e.Time = time.Now().UTC()
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	line = append(line, '\n')
	f, err := j.open()
	if err != nil {
		return err
	}
	defer f.Close()
	if size, err := f.Seek(0, 2); err == nil && size > 0 {
		last := []byte{'\n'}
		if _, err := f.ReadAt(last, size-1); err == nil && last[0] != '\n' {
			line = append([]byte{'\n'}, line...)
		}
	}
	if _, err := f.Write(line); err != nil {
		return fmt.Errorf("writing the undo journal: %w", err)
	}
	return nil
}

func (j *Journal) open() (*os.File, error) {
	f, err := openOwn(j.dir.journalPath(), os.O_RDWR|os.O_APPEND|os.O_CREATE)
	if err != nil {
		return nil, fmt.Errorf("opening the undo journal: %w", err)
	}
	return f, nil
}

// reserve makes sure that there is room for a whole change behind the journal's end.
func reserve(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	for {
		switch err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, info.Size(), reserveBytes); {
		case err == unix.EINTR:
		case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT), errors.Is(err, unix.EFBIG):
			return fmt.Errorf("no room for the undo journal: %w; make some on the disk of %s", err, f.Name())
		default: // done, or a file system that cannot reserve
			return nil
		}
	}
}

// Live returns the changes that stand, oldest first.
func (j *Journal) Live() ([]*Change, error) {
	f, err := openOwn(j.dir.journalPath(), os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("opening the undo journal: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil {
		return nil, fmt.Errorf("reading the undo journal: %w", err)
	}
	return j.parse(text), nil
}

// parse folds the log. A line that is not whole is the trace of a death while writing: what it would have announced was
// not begun.
func (j *Journal) parse(text []byte) []*Change {
	var live []*Change
	byID := map[string]*Change{}
	for line := range bytes.Lines(text) {
		var e Entry
		if json.Unmarshal(line, &e) != nil || e.ID == "" || e.Boot != j.boot {
			continue
		}
		c, known := byID[e.ID]
		if !known {
			c = &Change{journal: j}
			byID[e.ID] = c
			live = append(live, c)
		}
		c.entry = e
	}
	standing := live[:0]
	for _, c := range live {
		if !c.entry.Undone {
			standing = append(standing, c)
		}
	}
	return standing
}

// tidyAbove is the size from which the journal is worth rewriting, some hundred lines: on a disk that costs more than
// reading them.
const tidyAbove = 64 << 10

// tidy ends the snapshots that nobody will compare with, and shortens the journal. Call it under the journal's lock.
func (j *Journal) tidy() error {
	live, err := j.Live()
	if err != nil {
		return err
	}
	changing := map[kernel.Process]bool{} // owners that still have more than their snapshot
	for _, c := range live {
		if c.entry.Kind != kindSnapshot {
			changing[c.entry.Owner.Process] = true
			changing[c.heir().Process] = true
		}
	}
	standing := live[:0]
	for _, c := range live {
		if c.entry.Kind != kindSnapshot || changing[c.entry.Owner.Process] || c.Abandoned() {
			standing = append(standing, c)
			continue
		}
		c.entry.Undone = true
		if err := c.append(nil); err != nil {
			return err
		}
	}
	if len(standing) == 0 {
		return os.Truncate(j.dir.journalPath(), 0)
	}
	if info, err := os.Stat(j.dir.journalPath()); err != nil || info.Size() < tidyAbove {
		return err
	}
	return j.rewrite(standing)
}

// rewrite replaces the journal by these changes, through a rename so that a death in between loses nothing.
func (j *Journal) rewrite(standing []*Change) error {
	var text bytes.Buffer
	for _, c := range standing {
		line, err := json.Marshal(c.entry)
		if err != nil {
			return err
		}
		text.Write(append(line, '\n'))
	}
	next := j.dir.journalPath() + ".next"
	if err := writeReserved(next, text.Bytes()); err != nil {
		return errors.Join(fmt.Errorf("rewriting the undo journal: %w", err), os.Remove(next))
	}
	return os.Rename(next, j.dir.journalPath())
}

// writeReserved writes a journal that has room for what the changes under way still have to say.
func writeReserved(path string, text []byte) error {
	f, err := openOwn(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	if _, err := f.Write(text); err != nil {
		return errors.Join(err, f.Close())
	}
	return errors.Join(reserve(f), f.Close())
}
