// SPDX-License-Identifier: Apache-2.0

// Package swaptest gives a test a swap device of its own, on zram, and takes it away afterwards.
package swaptest

import (
	"context"
	"testing"

	"memline/internal/kernel"
	"memline/internal/kernel/kerneltest"
	"memline/internal/undo"
	"memline/internal/zram"
)

// On swaps on a zram device of this size for the rest of the test, at the highest priority there is, under the host lock
// and a state directory of the test's own. The test is skipped where that cannot be.
func On(t testing.TB, bytes int64) (zram.Device, *undo.Journal) {
	t.Helper()
	kerneltest.Zram(t)
	kerneltest.HostLock(t)
	root := kernel.Root()
	j := Journal(t)
	c, err := zram.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	owner, err := undo.Self(root)
	if err != nil {
		t.Fatal(err)
	}
	d, err := c.Create(t.Context(), j, owner, zram.Plan{SizeBytes: bytes, Swap: true, Priority: zram.MaxPriority})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		change, err := d.Find(j)
		if err == nil {
			err = d.Destroy(context.Background(), change)
		}
		if err != nil {
			t.Error(err)
		}
	})
	return d, j
}

// Journal opens the undo journal of a state directory that is the test's own, and holds its host lock on behalf of the
// processes that the test starts.
func Journal(t testing.TB) *undo.Journal {
	t.Helper()
	t.Setenv(undo.DirEnv, t.TempDir())
	kerneltest.HostLock(t)
	dir, err := undo.OpenDir("")
	if err != nil {
		t.Fatal(err)
	}
	j, err := undo.Open(dir, kernel.Root())
	if err != nil {
		t.Fatal(err)
	}
	return j
}
