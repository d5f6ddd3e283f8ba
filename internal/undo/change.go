// SPDX-License-Identifier: Apache-2.0

package undo

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"memline/internal/exit"
)

// Change is one journalled change. Until it is settled it belongs to the process that makes it, so that a maker killed
// half-way leaves something that restore may undo even where the owner-to-be lives on.
type Change struct {
	journal *Journal
	entry   Entry
}

// ID is the change's name: 32 hex digits, unique.
func (c *Change) ID() string { return c.entry.ID }

// Begin writes a change down before it is made. Detail is whatever the kind's reverser needs; the owner's first change
// also saves a snapshot of the host to compare with later. It refuses an owner that has ended, and a journal without room.
func (j *Journal) Begin(owner Owner, kind string, detail any) (*Change, error) {
	return j.begin(owner, kind, func() (any, error) { return detail, nil }, nil)
}

// BeginMade is Begin for a change whose name only the making of it tells, such as a hot-added device: intent and make are
// called under the journal's lock, and the detail that make returns replaces the intent. Where the making succeeds but
// cannot be written down, the change comes back beside the error, for the caller to reverse.
func (j *Journal) BeginMade(owner Owner, kind string, intent, make func() (detail any, err error)) (*Change, error) {
	return j.begin(owner, kind, intent, make)
}

func (j *Journal) begin(owner Owner, kind string, intent, make func() (any, error)) (*Change, error) {
	maker, err := Self(j.root)
	if err != nil {
		return nil, err
	}
	c := &Change{journal: j, entry: Entry{ID: newID(), Boot: j.boot, Owner: maker, For: &owner, Kind: kind}}
	made := false
	err = j.dir.withJournalLock(func() error {
		if err := j.announce(c, intent); err != nil {
			return fmt.Errorf("%w; nothing was changed", err)
		}
		if make == nil {
			return nil
		}
		detail, err := make()
		if err != nil {
			c.entry.Undone = true
			return errors.Join(err, c.append(nil))
		}
		made = true
		return c.append(detail)
	})
	if err != nil && !made {
		return nil, err
	}
	return c, err
}

// announce writes down what is about to be done. Call it under the journal's lock.
func (j *Journal) announce(c *Change, intent func() (any, error)) error {
	if err := c.ownerGone(); err != nil {
		return err
	}
	if c.entry.Kind != KindHolder { // a holder changes nothing that a snapshot shows
		if err := j.saveSnapshot(*c.entry.For); err != nil {
			return err
		}
	}
	f, err := j.open()
	if err != nil {
		return err
	}
	defer f.Close()
	if err := reserve(f); err != nil {
		return err
	}
	detail, err := intent()
	if err != nil {
		return err
	}
	return c.append(detail)
}

// ownerGone refuses to make a change for an owner that has ended: restore may have looked already, and would miss it.
func (c *Change) ownerGone() error {
	if o := c.heir(); !o.alive(c.journal.root) {
		return exit.New(exit.Refused, "owner_gone", "the owner, %s, has ended", o)
	}
	return nil
}

// Update replaces the change's detail while it is being made.
func (c *Change) Update(detail any) error {
	return c.journal.dir.withJournalLock(func() error { return c.append(detail) })
}

// Settle says that the change is made, and hands it to its owner; a nil detail leaves the detail as it is. Where the owner
// has ended meanwhile the change stays with the calling process, which should reverse it. After Take it gives the change
// back.
func (c *Change) Settle(detail any) error {
	return c.journal.dir.withJournalLock(func() error {
		if err := c.ownerGone(); err != nil {
			return err
		}
		was := c.entry
		c.entry.Owner, c.entry.For = c.heir(), nil
		if err := c.append(detail); err != nil {
			c.entry = was
			return err
		}
		return nil
	})
}

// Take makes the calling process the owner while it reverses the change, so that dying half-way leaves it to restore.
func (c *Change) Take() error {
	self, err := Self(c.journal.root)
	if err != nil {
		return err
	}
	if c.entry.Owner.Process == self.Process {
		return nil
	}
	was := c.heir()
	c.entry.Owner, c.entry.For = self, &was
	return c.Update(nil)
}

// Undone ends the change: the host is as it was before it.
func (c *Change) Undone() error {
	c.entry.Undone = true
	return c.journal.dir.withJournalLock(func() error {
		if err := c.append(nil); err != nil {
			return err
		}
		// The line above is the end of it. Where the journal cannot be made shorter, the long one does.
		_ = c.journal.tidy()
		return nil
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
func (c *Change) Abandoned() bool { return !c.entry.Owner.alive(c.journal.root) }

// Settled reports whether the change is whole: made, and not being reversed.
func (c *Change) Settled() bool { return c.entry.For == nil }

// heir is who the change belongs to once nobody works on it any more.
func (c *Change) heir() Owner {
	if c.entry.For != nil {
		return *c.entry.For
	}
	return c.entry.Owner
}

func newID() string {
	b := make([]byte, 16)
	rand.Read(b) // never fails since Go 1.24
	return hex.EncodeToString(b)
}
