// SPDX-License-Identifier: Apache-2.0

package anon

import (
	"os"
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"memline/internal/kernel"
)

func mapped(t testing.TB, bytes int64, thp THP) *Region {
	t.Helper()
	r, err := Map(bytes, thp)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Unmap(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// faults counts the calling thread's page faults during f, and takes the least of five tries: the Go runtime has faults of
// its own now and then, and none that f can save.
func faults(t *testing.T, f func(mem []byte)) (minor, major int64) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	minor = 1 << 62
	for range 5 {
		r, err := Map(64*Chunk, Never)
		if err != nil {
			t.Fatal(err)
		}
		var before, after unix.Rusage
		unix.Getrusage(unix.RUSAGE_THREAD, &before)
		f(r.Bytes())
		unix.Getrusage(unix.RUSAGE_THREAD, &after)
		if err := r.Unmap(); err != nil {
			t.Fatal(err)
		}
		minor, major = min(minor, after.Minflt-before.Minflt), after.Majflt-before.Majflt
	}
	return minor, major
}

func TestMap(t *testing.T) {
	page := int64(os.Getpagesize())
	for _, c := range []struct{ ask, want int64 }{{0, 0}, {1, page}, {page, page}, {Chunk + 1, Chunk + page}} {
		r := mapped(t, c.ask, Never)
		if got := int64(len(r.Bytes())); got != c.want {
			t.Errorf("Map(%d) has %d bytes, want %d", c.ask, got, c.want)
		}
		if at := uintptr(unsafe.Pointer(unsafe.SliceData(r.Bytes()))); at%Chunk != 0 {
			t.Errorf("Map(%d) lies at %#x, not aligned to %#x", c.ask, at, Chunk)
		}
		if got, err := Resident(r.Bytes(), make([]byte, 4096)); got != 0 || err != nil {
			t.Errorf("Resident of a new mapping = %d, %v, want 0", got, err)
		}
	}
	if _, err := Map(1<<60, Never); err == nil {
		t.Error("Map(2^60) succeeded, want an error")
	}
}

func TestUnmapTwice(t *testing.T) {
	r := mapped(t, Chunk, Never)
	if err := r.Unmap(); err != nil {
		t.Fatal(err)
	}
	if err := r.Unmap(); err != nil {
		t.Errorf("second Unmap: %v, want nothing to do", err)
	}
}

func TestEachPageFaultsOnce(t *testing.T) {
	const bytes = 64 * Chunk
	want := int64(bytes / os.Getpagesize())
	for name, f := range map[string]func([]byte){
		"populate": func(mem []byte) {
			if err := Populate(mem); err != nil {
				t.Error(err)
			}
		},
		"write": func(mem []byte) {
			for at := 0; at < len(mem); at += os.Getpagesize() {
				mem[at] = 1
			}
		},
		"populate and write": func(mem []byte) {
			Populate(mem)
			for at := range mem {
				mem[at] = 1
			}
		},
	} {
		if minor, major := faults(t, f); minor != want || major != 0 {
			t.Errorf("%s: %d minor and %d major faults, want %d and 0", name, minor, major, want)
		}
	}
}

func TestPopulateMakesResident(t *testing.T) {
	r := mapped(t, 2*Chunk, Never)
	if err := Populate(r.Bytes()[:Chunk]); err != nil {
		t.Fatal(err)
	}
	if got, err := Resident(r.Bytes(), make([]byte, 2*Chunk)); got != int64(Chunk/os.Getpagesize()) || err != nil {
		t.Errorf("Resident = %d, %v, want the pages of one chunk", got, err)
	}
}

func TestHugePages(t *testing.T) {
	if text, err := kernel.Root().Text("sys/kernel/mm/transparent_hugepage/enabled"); err != nil || kernel.Selected(text) == "never" {
		t.Skipf("skipped: needs transparent huge pages: %q %v", text, err)
	}
	r := mapped(t, 8*Chunk, Always)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, after unix.Rusage
	unix.Getrusage(unix.RUSAGE_THREAD, &before)
	if err := Populate(r.Bytes()); err != nil {
		t.Fatal(err)
	}
	unix.Getrusage(unix.RUSAGE_THREAD, &after)
	// Memory may be fragmented, so at least half of it must have come in huge pages.
	if got, most := after.Minflt-before.Minflt, int64(4*Chunk/os.Getpagesize()); got > most {
		t.Errorf("populating 8 huge pages took %d faults, want at most %d", got, most)
	}
}

func TestLock(t *testing.T) {
	if !kernel.Root().HasCapability(unix.CAP_IPC_LOCK) {
		t.Skip("skipped: needs CAP_IPC_LOCK to lock 8 MiB")
	}
	r := mapped(t, 4*Chunk, Never)
	locked := func() int64 {
		t.Helper()
		s, err := kernel.Root().Status(0)
		if err != nil {
			t.Fatal(err)
		}
		return s.LockedBytes
	}
	before := locked()
	for at := 0; at < len(r.Bytes()); at += Chunk {
		if err := Lock(r.Bytes()[at : at+Chunk]); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := locked()-before, int64(4*Chunk); got != want {
		t.Errorf("VmLck grew by %d, want %d", got, want)
	}
	if got, _ := Resident(r.Bytes(), make([]byte, 4096)); got != int64(4*Chunk/os.Getpagesize()) {
		t.Errorf("%d pages resident after locking, want all", got)
	}
	if err := r.Unmap(); err != nil {
		t.Fatal(err)
	}
	if got := locked() - before; got != 0 {
		t.Errorf("VmLck is %d more after Unmap, want 0", got)
	}
}
