// SPDX-License-Identifier: Apache-2.0

package gauge

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"memline/internal/kernel"
)

func TestThreadCPUCountsWorkOnly(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	s := NewSentinel()
	before := ThreadCPU()
	s.Time()
	if after := ThreadCPU(); after <= before {
		t.Errorf("ThreadCPU went from %d to %d over a sentinel's work", before, after)
	}
}

func TestSentinelDoesTheSameWork(t *testing.T) {
	a, b := NewSentinel(), NewSentinel()
	for i := range 3 {
		if ns := a.Time(); ns <= 0 {
			t.Errorf("Time() = %d, want a positive number of nanoseconds", ns)
		}
		b.Time()
		for at := range a.table {
			if a.table[at] != b.table[at] {
				t.Fatalf("after run %d the tables differ at %d: the work is not fixed", i+1, at)
			}
		}
	}
	if n := testing.AllocsPerRun(3, func() { a.Time() }); n != 0 {
		t.Errorf("Time allocates %v times", n)
	}
}

func TestStolen(t *testing.T) {
	root := t.TempDir()
	if got := Stolen(kernel.At(root)); got != nil {
		t.Errorf("Stolen without /proc/stat = %d, want nil", *got)
	}
	if err := os.MkdirAll(filepath.Join(root, "proc"), 0o755); err != nil {
		t.Fatal(err)
	}
	text := "cpu  10 0 20 3000 5 0 1 37 0 0\ncpu0 10 0 20 3000 5 0 1 37 0 0\n"
	if err := os.WriteFile(filepath.Join(root, "proc/stat"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	got := Stolen(kernel.At(root))
	if got == nil || *got != 370_000_000 {
		t.Errorf("Stolen of 37 ticks = %v, want 370 ms in nanoseconds", got)
	}
	later := int64(380_000_000)
	if d := Since(got, &later); d == nil || *d != 10_000_000 {
		t.Errorf("Since = %v, want 10 ms", d)
	}
	if d := Since(nil, &later); d != nil {
		t.Errorf("Since without a first reading = %d, want nil", *d)
	}
}
