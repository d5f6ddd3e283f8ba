// SPDX-License-Identifier: Apache-2.0

package undo

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"memline/internal/kernel"
)

const kindSnapshot = "snapshot"

// Snapshot is the host state that memline's tools can change, as text by name: swap areas with their priority, zram
// devices with their sequence number, zswap parameters, vm sysctls.
type Snapshot map[string]string

// watchedSysctls are the vm settings that decide how this host swaps.
var watchedSysctls = []string{"swappiness", "page-cluster", "watermark_scale_factor", "watermark_boost_factor",
	"min_free_kbytes", "vfs_cache_pressure", "overcommit_memory"}

// TakeSnapshot reads the host's state.
func TakeSnapshot(root kernel.FS) (Snapshot, error) {
	s := Snapshot{}
	swaps, err := root.Swaps()
	if err != nil {
		return nil, fmt.Errorf("reading the swap areas: %w", err)
	}
	for _, swap := range swaps {
		s["swap "+swap.Device] = fmt.Sprintf("priority %d", swap.Priority)
	}
	devices, _ := filepath.Glob(root.Path("sys/block/zram*"))
	for _, path := range devices {
		name := filepath.Base(path)
		size, _ := root.Text("sys/block", name, "disksize")
		seq, _ := root.Text("sys/block", name, "diskseq")
		s["zram "+name] = strings.TrimSpace(fmt.Sprintf("disksize %s diskseq %s", size, seq))
	}
	params, _ := filepath.Glob(root.Path("sys/module/zswap/parameters/*"))
	for _, path := range params {
		if value, err := root.Text("sys/module/zswap/parameters", filepath.Base(path)); err == nil {
			s["zswap "+filepath.Base(path)] = value
		}
	}
	for _, name := range watchedSysctls {
		if value, err := root.Text("proc/sys/vm", name); err == nil {
			s["sysctl vm."+name] = value
		}
	}
	return s, nil
}

// Difference is one thing that is not as the snapshot has it; empty Was or Is means absent.
type Difference struct{ What, Was, Is string }

// Diff lists what differs between the snapshot and now, by name.
func (s Snapshot) Diff(now Snapshot) []Difference {
	names := maps.Clone(s)
	maps.Copy(names, now)
	var diffs []Difference
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if s[name] != now[name] {
			diffs = append(diffs, Difference{name, s[name], now[name]})
		}
	}
	return diffs
}

// saveSnapshot journals the host's state at an owner's first change. Call it under the journal's lock.
func (j *Journal) saveSnapshot(owner Owner) error {
	if owner.Persistent {
		return nil // between a user's create and destroy anything may change for good reasons
	}
	live, err := j.Live()
	if err != nil {
		return err
	}
	for _, c := range live {
		if c.entry.Kind == kindSnapshot && c.entry.Owner.Process == owner.Process {
			return nil
		}
	}
	s, err := TakeSnapshot(j.root)
	if err != nil {
		return err
	}
	c := &Change{journal: j, entry: Entry{ID: newID(), Boot: j.boot, Owner: owner, Kind: kindSnapshot}}
	return c.append(s)
}
