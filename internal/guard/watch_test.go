// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"memline/internal/exit"
	"memline/internal/kernel"
)

func at(ms int, availableMiB int64, more ...func(*observation)) observation {
	o := observation{at: time.Duration(ms) * time.Millisecond, growing: true,
		mem: kernel.Meminfo{AvailableBytes: availableMiB * mib, SwapTotalBytes: 1000 * mib, SwapFreeBytes: 1000 * mib}}
	for _, f := range more {
		f(&o)
	}
	return o
}

func grown(n int64) func(*observation) { return func(o *observation) { o.grown = n * mib } }
func swapFree(n int64) func(*observation) {
	return func(o *observation) { o.mem.SwapFreeBytes = n * mib }
}
func stalled(ms uint64) func(*observation) {
	return func(o *observation) { o.fullUsec = ms * 1000 }
}
func still(o *observation) { o.growing = false }

func TestWatch(t *testing.T) {
	limits := Limits{FloorBytes: 500 * mib, PlannedBytes: 4000 * mib, SwapFloorBytes: 50 * mib, Stall: true}
	for _, c := range []struct {
		name  string
		looks []observation
		want  string // in the reason; empty where there is none
	}{
		{"quiet", []observation{at(0, 5000), at(200, 5000), at(400, 5010)}, ""},
		{"below the floor at once", []observation{at(0, 400)}, "only 400 MiB are available"},
		{"below the floor while holding", []observation{at(0, 5000, still), at(200, 499, still)}, "only 499 MiB are available"},
		// 4 GB/s to the end of the plan: the head-room is gone in 15 ms, and so is the plan.
		{"fast own growth that ends with the plan", []observation{at(0, 4560), at(990, 600, grown(3960)), at(1000, 560, grown(4000)), at(1200, 560, grown(4000))}, ""},
		{"fast own growth with a plan beyond the floor", []observation{at(0, 560), at(10, 520, grown(40))}, "of which 0 are not ours"},
		{"a neighbour takes memory fast", []observation{at(0, 560, still), at(10, 520, still)}, "of which 4000 are not ours"},
		{"a neighbour takes memory slowly", []observation{at(0, 560, still), at(100, 550, still), at(200, 540, still)}, ""},
		{"swap runs out while growing", []observation{at(0, 5000), at(100, 5000, swapFree(49))}, "only 49 MiB of swap"},
		{"swap is full while holding", []observation{at(0, 5000, still), at(100, 5000, still, swapFree(0))}, ""},
		{"stalled", []observation{at(0, 5000), at(500, 5000, stalled(200)), at(1000, 5000, stalled(300))}, "PSI full"},
		{"stalled a little", []observation{at(0, 5000), at(500, 5000, stalled(50)), at(1000, 5000, stalled(100)), at(2000, 5000, stalled(290))}, ""},
		{"stalled while not growing", []observation{at(0, 5000, still), at(1000, 5000, still, stalled(900)), at(1500, 5000, stalled(900)), at(2200, 5000, stalled(950))}, ""},
	} {
		w := newWatch(limits)
		var err error
		for _, o := range c.looks {
			var next time.Duration
			if next, err = w.judge(o); err != nil {
				break
			}
			if next < minInterval || next > maxInterval {
				t.Errorf("%s: next look in %v, want between %v and %v", c.name, next, minInterval, maxInterval)
			}
		}
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: braked (%v), want not", c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q in it", c.name, err, c.want)
		}
	}
}

func TestWatchLooksSoonerWhenMemoryGoesFaster(t *testing.T) {
	w := newWatch(Limits{FloorBytes: 0, PlannedBytes: 100 * gib})
	w.judge(at(0, 10_000))
	slow, err := w.judge(at(100, 9_900, grown(100))) // 1 GB/s, 9.9 s left
	if err != nil || slow != maxInterval {
		t.Errorf("judge at 1 GB/s = %v, %v, want %v", slow, err, maxInterval)
	}
	fast, err := w.judge(at(200, 4_900, grown(5_100))) // 50 GB/s, 98 ms left
	if err != nil || fast <= minInterval || fast >= 20*time.Millisecond {
		t.Errorf("judge at 50 GB/s = %v, %v, want about 12 ms", fast, err)
	}
}

func TestSwapFloor(t *testing.T) {
	for _, c := range []struct{ total, free, want int64 }{{0, 0, 0}, {1000, 1000, 50}, {1000, 40, 20}, {1000, 0, 0}} {
		if got := SwapFloor(kernel.Meminfo{SwapTotalBytes: c.total, SwapFreeBytes: c.free}); got != c.want {
			t.Errorf("SwapFloor(%d free of %d) = %d, want %d", c.free, c.total, got, c.want)
		}
	}
}

// fixture is a root whose meminfo the test writes, always in full.
func fixture(t *testing.T) (root kernel.FS, set func(availableMiB int)) {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "proc/pressure"), 0o755); err != nil {
		t.Fatal(err)
	}
	psi := "some avg10=0.00 avg60=0.00 avg300=0.00 total=7\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=5\n"
	if err := os.WriteFile(filepath.Join(dir, "proc/pressure/memory"), []byte(psi), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(dir, "proc/meminfo"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	set = func(availableMiB int) {
		f.WriteAt(fmt.Appendf(nil, "MemTotal:  %10d kB\nMemAvailable:  %10d kB\n", 16<<20, availableMiB<<10), 0)
	}
	set(8000)
	return kernel.At(dir), set
}

func TestBrake(t *testing.T) {
	root, set := fixture(t)
	reason := make(chan error, 1)
	b, err := NewBrake(root, Limits{FloorBytes: 1000 * mib, Stall: true}, func(err error) { reason <- err })
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	select {
	case err := <-reason:
		t.Fatalf("braked with 7 GiB to spare: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	set(900)
	select {
	case err = <-reason:
	case <-time.After(10 * time.Second):
		t.Fatal("did not brake below the floor")
	}
	if code, why := exit.Code(err); code != exit.Refused || why != "guard" {
		t.Errorf("braked with code %d, reason %q, want 75 and guard", code, why)
	}
}

func TestBrakeNeedsMeminfo(t *testing.T) {
	if _, err := NewBrake(kernel.At(t.TempDir()), Limits{}, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("NewBrake without meminfo = %v, want not exist", err)
	}
}

func TestLookDoesNotAllocate(t *testing.T) {
	root, _ := fixture(t)
	b, err := NewBrake(root, Limits{Stall: true}, func(error) {})
	if err != nil {
		t.Fatal(err)
	}
	close(b.quit) // the goroutine's own looks would count too
	<-b.done
	if got := testing.AllocsPerRun(100, func() { b.look() }); got != 0 {
		t.Errorf("look allocates %v times, want 0", got)
	}
}
