// SPDX-License-Identifier: Apache-2.0

// Package undo is the journal of privileged changes: each is written down before it is made, with its owner and what is
// needed to reverse it, so that one restore puts the host back after any process was killed at any moment.
//
// The journal is a log of lines; a later line of the same id replaces an earlier one, and a line whose state is "undone"
// ends it. Entries of another boot are void: what they changed went with that boot.
package undo

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"memline/internal/kernel"
)

// Owner answers for a change: a process, or nobody (persistent), in which case only its user undoes it.
type Owner struct {
	kernel.Process
	Comm       string `json:"comm,omitempty"`
	Persistent bool   `json:"persistent,omitempty"`
}

// OwnerEnv names the process that owns what the tools below it change: a script exports its own pid.
const OwnerEnv = "MEMLINE_OWNER_PID"

// Persistent owns what outlives every process.
func Persistent() Owner { return Owner{Persistent: true} }

// OwnerOf is the process that has this pid now.
func OwnerOf(root kernel.FS, pid int) (Owner, error) {
	p, err := root.Process(pid)
	if err != nil {
		return Owner{}, fmt.Errorf("owner: %w", err)
	}
	comm, _ := root.Text("proc", fmt.Sprint(pid), "comm")
	return Owner{Process: p, Comm: comm}, nil
}

// Self is the calling process as an owner.
func Self(root kernel.FS) (Owner, error) { return OwnerOf(root, os.Getpid()) }

func (o Owner) String() string {
	if o.Persistent {
		return "persistent"
	}
	return fmt.Sprintf("%s (pid %d)", o.Comm, o.PID)
}

// Entry is the last word of the journal on one change.
type Entry struct {
	ID     string          `json:"id"` // 32 hex digits, also the UUID in a swap header
	Boot   string          `json:"boot"`
	Time   time.Time       `json:"time"`
	Owner  Owner           `json:"owner"`
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

// Change is one journalled change. Until it is settled it belongs to the process that makes it, so that a maker killed
// half-way leaves something that restore may undo even where the owner-to-be lives on.
type Change struct {
	journal *Journal
	entry   Entry
	owner   Owner // who it will belong to once settled
}

// ID is the change's name: 32 hex digits, unique.
func (c *Change) ID() string { return c.entry.ID }

// Begin writes a change down before it is made. Detail is whatever the kind's reverser needs; the owner's first change
// also saves a snapshot of the host to compare with later.
func (j *Journal) Begin(owner Owner, kind string, detail any) (*Change, error) {
	return j.begin(owner, kind, detail, nil)
}

// BeginMade is Begin for a change whose name only the making of it tells, such as a hot-added device: make is called
// under the journal's lock, and the detail it returns replaces the intent.
func (j *Journal) BeginMade(owner Owner, kind string, intent any, make func() (detail any, err error)) (*Change, error) {
	return j.begin(owner, kind, intent, make)
}

func (j *Journal) begin(owner Owner, kind string, detail any, make func() (any, error)) (*Change, error) {
	maker, err := Self(j.root)
	if err != nil {
		return nil, err
	}
	c := &Change{journal: j, owner: owner, entry: Entry{ID: newID(), Boot: j.boot, Owner: maker, Kind: kind}}
	err = j.dir.withJournalLock(func() error {
		if kind != KindHolder { // a holder changes nothing that a snapshot shows
			if err := j.saveSnapshot(owner); err != nil {
				return err
			}
		}
		if err := c.append(detail); err != nil || make == nil {
			return err
		}
		made, err := make()
		if err != nil {
			c.entry.Undone = true
			return errors.Join(err, c.append(nil))
		}
		return c.append(made)
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Update replaces the change's detail while it is being made.
func (c *Change) Update(detail any) error {
	return c.journal.dir.withJournalLock(func() error { return c.append(detail) })
}

// Settle says that the change is made, and hands it to its owner.
func (c *Change) Settle(detail any) error {
	c.entry.Owner = c.owner
	return c.Update(detail)
}

// Take makes the calling process the owner while it reverses the change, so that dying half-way leaves it to restore.
func (c *Change) Take() error {
	self, err := Self(c.journal.root)
	if err != nil {
		return err
	}
	c.entry.Owner = self
	return c.Update(nil)
}

// Undone ends the change: the host is as it was before it.
func (c *Change) Undone() error {
	c.entry.Undone = true
	return c.journal.dir.withJournalLock(func() error {
		if err := c.append(nil); err != nil {
			return err
		}
		return c.journal.compact()
	})
}

func (c *Change) append(detail any) error {
	if detail != nil {
		b, err := json.Marshal(detail)
		if err != nil {
			return err
		}
		c.entry.Detail = b
	}
	return c.journal.append(c.entry)
}

// append writes one line in one write, on its own line even after a torn one. Call it under the journal's lock.
func (j *Journal) append(e Entry) error {
	e.Time = time.Now().UTC()
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	line = append(line, '\n')
	f, err := os.OpenFile(j.dir.journalPath(), os.O_RDWR|os.O_APPEND|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("opening the undo journal: %w", err)
	}
	defer f.Close()
	if size, err := f.Seek(0, 2); err == nil && size > 0 {
		last := []byte{'\n'}
		if _, err := f.ReadAt(last, size-1); err == nil && last[0] != '\n' {
			line = append([]byte{'\n'}, line...)
		}
	}
	if _, err := f.Write(line); err != nil {
		return fmt.Errorf("writing the undo journal: %w; nothing was changed", err)
	}
	return nil
}

// Live returns the changes that stand, oldest first.
func (j *Journal) Live() ([]*Change, error) {
	text, err := os.ReadFile(j.dir.journalPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
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

// compact rewrites the journal without what has ended, through a rename so that a death in between loses nothing. Call it
// under the journal's lock.
func (j *Journal) compact() error {
	live, err := j.Live()
	if err != nil {
		return err
	}
	changing := map[kernel.Process]bool{} // owners that still have more than their snapshot
	for _, c := range live {
		if c.entry.Kind != kindSnapshot {
			changing[c.entry.Owner.Process] = true
		}
	}
	var text bytes.Buffer
	for _, c := range live {
		if c.entry.Kind == kindSnapshot && !changing[c.entry.Owner.Process] && !c.Abandoned() {
			continue
		}
		line, err := json.Marshal(c.entry)
		if err != nil {
			return err
		}
		text.Write(append(line, '\n'))
	}
	next := j.dir.journalPath() + ".next"
	if err := os.WriteFile(next, text.Bytes(), 0o600); err != nil {
		return fmt.Errorf("compacting the undo journal: %w", err)
	}
	return os.Rename(next, j.dir.journalPath())
}

// Entry is the journal's last word on the change.
func (c *Change) Entry() Entry { return c.entry }

// Decode reads the change's detail into the kind's own struct.
func (c *Change) Decode(detail any) error {
	if err := json.Unmarshal(c.entry.Detail, detail); err != nil {
		return fmt.Errorf("journal entry %s: %w", c.entry.ID, err)
	}
	return nil
}

// Abandoned reports whether the owner is dead, so that restore may undo the change.
func (c *Change) Abandoned() bool {
	return !c.entry.Owner.Persistent && !c.journal.root.Alive(c.entry.Owner.Process)
}

func newID() string {
	b := make([]byte, 16)
	rand.Read(b) // never fails since Go 1.24
	return hex.EncodeToString(b)
}
