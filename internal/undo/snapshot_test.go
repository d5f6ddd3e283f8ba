// SPDX-License-Identifier: Apache-2.0

package undo

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"memline/internal/kernel"
)

func TestSnapshotDiff(t *testing.T) {
	was := Snapshot{"a": "1", "b": "2", "c": "3"}
	now := Snapshot{"a": "1", "b": "x", "d": "4"}
	want := []Difference{{"b", "2", "x"}, {"c", "3", ""}, {"d", "", "4"}}
	if diff := cmp.Diff(want, was.Diff(now)); diff != "" {
		t.Errorf("Diff: -want +got\n%s", diff)
	}
	if diffs := was.Diff(was); diffs != nil {
		t.Errorf("Diff with itself = %+v, want none", diffs)
	}
}

func TestTakeSnapshot(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"proc/swaps":                         "Filename Type Size Used Priority\n/dev/sda2 partition 1024 0 -2\n",
		"sys/block/zram0/disksize":           "4096\n",
		"sys/block/zram0/diskseq":            "7\n",
		"sys/block/zram1/disksize":           "0\n", // before Linux 5.15
		"sys/module/zswap/parameters/enable": "N\n",
		"proc/sys/vm/swappiness":             "60\n",
		"proc/sys/vm/unwatched":              "1\n",
	} {
		writeTo(t, filepath.Join(root, name), text)
	}
	got, err := TakeSnapshot(kernel.At(root))
	if err != nil {
		t.Fatal(err)
	}
	want := Snapshot{"swap /dev/sda2": "priority -2", "zram zram0": "disksize 4096 diskseq 7", "zram zram1": "disksize 0 diskseq",
		"zswap enable": "N", "sysctl vm.swappiness": "60"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("TakeSnapshot: -want +got\n%s", diff)
	}
}

// TestRestoreCompares tells what is not as it was before the dead owner's first change.
func TestRestoreCompares(t *testing.T) {
	j := openTest(t)
	root := sysctlRoot(t, "60")
	j.root = root
	owner, script := sleeper(t)
	linkProc(t, root, owner.PID)
	linkProc(t, root, os.Getpid())
	if _, err := j.SetValue(owner, "proc/sys/vm/swappiness", "100"); err != nil {
		t.Fatal(err)
	}
	writeTo(t, root.Path("proc/sys/vm/page-cluster"), "7\n") // somebody else's
	end(script)
	os.Remove(root.Path("proc", strconv.Itoa(owner.PID)))
	r, err := j.Restore(t.Context(), Plan{Wait: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Difference{{"sysctl vm.page-cluster", "3", "7"}}, r.Differences); diff != "" {
		t.Errorf("Differences: -want +got\n%s", diff)
	}
	if text, _ := root.Text("proc/sys/vm/swappiness"); text != "60" {
		t.Errorf("swappiness = %s, want 60", text)
	}
}
