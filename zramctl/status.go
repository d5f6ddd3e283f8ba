// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strconv"

	"memline/internal/kernel"
	"memline/internal/undo"
	"memline/internal/zram"
)

// device is the record of one zram device.
type device struct {
	zram.Stats
	Owner *string `json:"owner" doc:"who the journal says made it, or is making it now; null for a device that memline did not make"`
}

func (s *session) status(names []string) error {
	c, err := zram.Open(s.root)
	if err != nil {
		return err
	}
	devices, err := c.Devices()
	if err != nil {
		return err
	}
	if len(names) > 0 {
		devices = devices[:0]
		for _, name := range names {
			d, err := c.Parse(name)
			if err != nil {
				return err
			}
			devices = append(devices, d)
		}
	}
	journal, err := s.openJournal()
	if err != nil && len(devices) > 0 { // reading the counters needs no journal
		s.env.Warn("owner_unknown", "%v; owner is null for every device", err)
	}
	var rows []device
	for _, d := range devices {
		stats, unread := d.Stats()
		for _, err := range unread {
			s.env.Warn("unread", "%v; the fields from it are null", err)
		}
		row := device{Stats: stats, Owner: s.ownerOf(journal, d)}
		s.env.Emit("device", row)
		rows = append(rows, row)
	}
	return s.printDevices(rows)
}

func (s *session) ownerOf(journal *undo.Journal, d zram.Device) *string {
	if journal == nil {
		return nil
	}
	change, err := d.Find(journal)
	if err != nil {
		return nil
	}
	owner := change.Entry().Owner.String()
	return &owner
}

func (s *session) printDevices(devices []device) error {
	t := newTable("device", "algorithm", "size", "data", "memory", "codec ratio", "pool ratio", "priority", "owner")
	t.SetColumnConfigs(rightAligned(3, 4, 5, 6, 7, 8))
	for _, d := range devices {
		codec, pool := twoDigits(d.CodecRatio), twoDigits(d.PoolRatio)
		if d.onlyHeader() { // a ratio of one nearly empty page says nothing
			codec, pool = none, none
		}
		priority, owner := none, none
		if d.SwapPriority != nil {
			priority = strconv.Itoa(*d.SwapPriority)
		}
		if d.Owner != nil {
			owner = *d.Owner
		}
		t.AppendRow(row(d.Device, d.Algorithm, size(&d.DisksizeBytes), size(d.OrigDataSize), size(d.MemUsedTotal), codec, pool, priority, owner))
	}
	return s.print(t)
}

// onlyHeader reports whether the device holds its swap header and nothing else.
func (d device) onlyHeader() bool {
	return d.SwapOn && d.OrigDataSize != nil && *d.OrigDataSize <= int64(kernel.PageSize())
}
