// SPDX-License-Identifier: Apache-2.0

package anon

import (
	"encoding/binary"
	"os"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"memline/internal/kernel"
	"memline/internal/kernel/swaptest"
)

func TestPagesGoOutAndComeBack(t *testing.T) {
	swaptest.On(t, 128<<20)
	r := mapped(t, 16*Chunk, Never)
	mem, page := r.Bytes(), os.Getpagesize()
	pages := len(mem) / page
	if err := Populate(mem); err != nil {
		t.Fatal(err)
	}
	for i := range pages {
		binary.LittleEndian.PutUint64(mem[i*page:], uint64(i)+1) // no page is zero, or it would not reach the device
	}
	before, err := kernel.Root().Vmstat()
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(mem); at += Chunk {
		if err := Pageout(mem[at : at+Chunk]); err != nil {
			t.Fatal(err)
		}
	}
	out, err := kernel.Root().Vmstat()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Resident(mem, make([]byte, pages)); got != 0 || err != nil {
		t.Errorf("%d pages resident after Pageout, %v, want 0", got, err)
	}
	if got := *out.Since(before, "pswpout"); got != int64(pages) {
		t.Errorf("pswpout grew by %d, want %d", got, pages)
	}

	order := make([]uint32, pages)
	for i := range order {
		order[i] = uint32(i)
	}
	slices.Reverse(order)
	ns := make([]int64, Batch)
	var sum byte
	var begin, end unix.Rusage
	Still(func() {
		unix.Getrusage(unix.RUSAGE_THREAD, &begin)
		for at := 0; at < pages; at += Batch {
			batch := order[at:min(at+Batch, pages)]
			sum += Touch(mem, batch, ns)
		}
		unix.Getrusage(unix.RUSAGE_THREAD, &end)
	})
	if got := end.Majflt - begin.Majflt; got != int64(pages) {
		t.Errorf("%d major faults, want one a page: %d", got, pages)
	}
	back, err := kernel.Root().Vmstat()
	if err != nil {
		t.Fatal(err)
	}
	if got := *back.Since(out, "pswpin"); got != int64(pages) {
		t.Errorf("pswpin grew by %d, want %d", got, pages)
	}
	var want byte
	for i := range pages {
		want += byte(i + 1)
		if got := binary.LittleEndian.Uint64(mem[i*page:]); got != uint64(i)+1 {
			t.Fatalf("page %d came back as %d, want %d", i, got, i+1)
		}
	}
	if sum != want {
		t.Errorf("Touch summed %d, want %d: it did not read what it timed", sum, want)
	}
}

func TestTouchTimesEveryRead(t *testing.T) {
	r := mapped(t, Chunk, Never)
	if err := Populate(r.Bytes()); err != nil {
		t.Fatal(err)
	}
	order := []uint32{3, 1, 2}
	ns := []int64{-1, -1, -1, -1}
	for i := range order {
		r.Bytes()[int(order[i])*os.Getpagesize()] = byte(order[i])
	}
	if got, want := Touch(r.Bytes(), order, ns), byte(6); got != want {
		t.Errorf("Touch = %d, want the bytes' sum %d", got, want)
	}
	for i, v := range ns[:3] {
		if v < 0 {
			t.Errorf("read %d was not timed", i)
		}
	}
	if ns[3] != -1 {
		t.Error("Touch wrote beyond the order's length")
	}
	if ClockFloor() < 0 {
		t.Error("ClockFloor is negative")
	}
}

func TestTouchDoesNotAllocate(t *testing.T) {
	r := mapped(t, Chunk, Never)
	order, ns := []uint32{0, 1, 2}, make([]int64, 3)
	if got := testing.AllocsPerRun(100, func() { Touch(r.Bytes(), order, ns) }); got != 0 {
		t.Errorf("Touch allocates %v times, want 0", got)
	}
}

func TestStillBlocksOnlyWhileItRuns(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	blocked := func() bool {
		var now unix.Sigset_t
		unix.PthreadSigmask(unix.SIG_BLOCK, nil, &now)
		return now.Val[0]&(1<<(uint(unix.SIGURG)-1)) != 0
	}
	Still(func() {
		if !blocked() {
			t.Error("the preemption signal is not blocked inside")
		}
	})
	if blocked() {
		t.Error("the preemption signal is still blocked afterwards")
	}
}
