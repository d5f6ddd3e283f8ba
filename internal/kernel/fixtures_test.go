// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const (
	thisMachine = "testdata/linux-6.18"         // cgroup v1, THP madvise, zswap off, one zram swap
	desktop     = "testdata/linux-6.12-desktop" // cgroup v2, THP always, zswap on, swap with awkward names
	board       = "testdata/linux-4.19-board"   // arm64 without PSI, THP, zswap, swap, memory controller
	ancient     = "testdata/linux-3.10-noswap"  // no MemAvailable, no swap support
)

func TestMeminfo(t *testing.T) {
	for root, want := range map[string]Meminfo{
		thisMachine: {TotalBytes: 24731708 << 10, AvailableBytes: 24008684 << 10, SwapTotalBytes: 65532 << 10, SwapFreeBytes: 65532 << 10},
		desktop:     {TotalBytes: 16316412 << 10, AvailableBytes: 9120044 << 10, SwapTotalBytes: 20971512 << 10, SwapFreeBytes: 18874356 << 10},
		board:       {TotalBytes: 496380 << 10, AvailableBytes: 388012 << 10},
	} {
		got, err := At(root).Meminfo()
		if err != nil {
			t.Errorf("Meminfo of %s: %v", root, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Meminfo of %s: -want +got\n%s", root, diff)
		}
	}
	if got, err := At(ancient).Meminfo(); err == nil || !strings.Contains(err.Error(), "3.14") {
		t.Errorf("Meminfo without MemAvailable = %+v, %v, want an error that says what it needs: 0 would be a lie", got, err)
	}
	if _, err := At(t.TempDir()).Meminfo(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Meminfo without /proc = %v, want %v", err, os.ErrNotExist)
	}
}

// TestMeminfoAllocations keeps the observers' promise: reading in a loop allocates nothing.
func TestMeminfoAllocations(t *testing.T) {
	f, err := Root().OpenFile("proc/meminfo")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if n := testing.AllocsPerRun(100, func() {
		if m, err := f.Meminfo(); err != nil || m.TotalBytes == 0 {
			t.Fatalf("Meminfo = %+v, %v", m, err)
		}
	}); n != 0 {
		t.Errorf("File.Meminfo allocates %v times a call, want 0", n)
	}
}

func TestSwaps(t *testing.T) {
	for root, want := range map[string][]Swap{
		thisMachine: {{Device: "/dev/zram1", SizeBytes: 65532 << 10, Priority: 100}},
		desktop: {
			{Device: "/dev/nvme0n1p3", SizeBytes: 16777212 << 10, UsedBytes: 2097152 << 10, Priority: -2},
			{Device: "/var/swap files/swap\tone", SizeBytes: 2097148 << 10, Priority: -3},
			{Device: "/dev/zram0 (deleted)", SizeBytes: 2097148 << 10, UsedBytes: 4 << 10, Priority: 32767},
		},
		board:   {},
		ancient: {}, // no /proc/swaps: no swap areas, not an error
	} {
		got, err := At(root).Swaps()
		if err != nil {
			t.Errorf("Swaps of %s: %v", root, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Swaps of %s: -want +got\n%s", root, diff)
		}
	}
}

func TestUnescape(t *testing.T) {
	for in, want := range map[string]string{
		`/plain`:        "/plain",
		`/a\040b`:       "/a b",
		`/a\134040b`:    `/a\040b`, // an escaped backslash is not the start of another escape
		`/a\011\012b`:   "/a\t\nb",
		`/end\04`:       `/end\04`,
		`/end\`:         `/end\`,
		`/not\999octal`: `/not\999octal`,
		`/high\777`:     `/high\777`, // more than a byte
	} {
		if got := unescape(in); got != want {
			t.Errorf("unescape(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestVmstat(t *testing.T) {
	before, err := At(board).Vmstat()
	if err != nil {
		t.Fatal(err)
	}
	after, err := At(desktop).Vmstat()
	if err != nil {
		t.Fatal(err)
	}
	if got := after.Since(before, "pswpout"); got == nil || *got != 8192 {
		t.Errorf("Since(pswpout) = %v, want 8192", got)
	}
	// What one of the two does not have is unknown, not 0 and not the whole count.
	for _, key := range []string{"swpout_zero", "nr_made_up"} {
		if got := after.Since(before, key); got != nil {
			t.Errorf("Since(%s) = %d, want nil", key, *got)
		}
	}
	here, err := At(thisMachine).Vmstat()
	if err != nil || len(here) != 192 {
		t.Errorf("Vmstat has %d counters, %v, want 192", len(here), err)
	}
}

func TestCPUTime(t *testing.T) {
	for root, want := range map[string]CPUTime{
		desktop: {BusyTicks: 100 + 10 + 50 + 5 + 6, IdleTicks: 1020, StealTicks: 7},
		board:   {BusyTicks: 7 + 1 + 2 + 1, IdleTicks: 93}, // 7 columns, from before there was steal
	} {
		got, err := At(root).CPUTime()
		if err != nil || got != want {
			t.Errorf("CPUTime of %s = %+v, %v, want %+v", root, got, err, want)
		}
	}
	if got, err := At(ancient).CPUTime(); err == nil {
		t.Errorf("CPUTime of a stat without the cpu line = %+v, want an error", got)
	}
}

func TestMemoryStall(t *testing.T) {
	got, ok := At(desktop).MemoryStall()
	if want := (Stall{SomeUsec: 123456789, FullUsec: 98765432}); !ok || got != want {
		t.Errorf("MemoryStall = %+v, %t, want %+v", got, ok, want)
	}
	if got, ok := At(board).MemoryStall(); ok {
		t.Errorf("MemoryStall without PSI = %+v, want none", got)
	}
	f, err := At(desktop).OpenFile("proc/pressure/memory")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if n := testing.AllocsPerRun(100, func() {
		if fast, err := f.Stall(); err != nil || fast != got {
			t.Fatalf("File.Stall = %+v, %v, want %+v", fast, err, got)
		}
	}); n != 0 {
		t.Errorf("File.Stall allocates %v times a call, want 0", n)
	}
}

func TestHost(t *testing.T) {
	model, amd, madvise, always := "Intel(R) Xeon(R) Processor", "AMD Ryzen 7 5800X 8-Core Processor", "madvise", "always"
	off, on := false, true
	for root, want := range map[string]Host{
		thisMachine: {CPUModel: &model, MemTotalBytes: 24731708 << 10, MemAvailableBytes: 24008684 << 10, THP: &madvise,
			SwapCount: 1, Swaps: []Swap{{Device: "/dev/zram1", SizeBytes: 65532 << 10, Priority: 100}}, Zswap: &off, CgroupVersion: 1, PSI: true},
		desktop: {CPUModel: &amd, MemTotalBytes: 16316412 << 10, MemAvailableBytes: 9120044 << 10, THP: &always,
			SwapCount: 3, Zswap: &on, CgroupVersion: 2, PSI: true},
		board: {MemTotalBytes: 496380 << 10, MemAvailableBytes: 388012 << 10, Swaps: []Swap{}},
	} {
		got := At(root).Host()
		if got.Host == "" || got.Kernel == "" || got.Arch == "" || got.CPUs < 1 || got.PageSizeBytes < 4096 {
			t.Errorf("Host of %s lacks facts of the running machine: %+v", root, got)
		}
		ignore := []string{"Host", "Kernel", "Arch", "CPUs", "PageSizeBytes"}
		if want.Swaps == nil {
			ignore = append(ignore, "Swaps")
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Host{}, ignore...)); diff != "" {
			t.Errorf("Host of %s: -want +got\n%s", root, diff)
		}
	}
}

// TestHostManySwaps bounds the start record: a host may have more swap areas than fit a line.
func TestHostManySwaps(t *testing.T) {
	root := t.TempDir()
	text := "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n" + strings.Repeat("/swap file 20 1 -2\n", 20)
	writeFile(t, filepath.Join(root, "proc/swaps"), []byte(text))
	h := At(root).Host()
	if h.SwapCount != 20 || len(h.Swaps) != maxSwaps {
		t.Errorf("SwapCount = %d with %d listed, want 20 with %d", h.SwapCount, len(h.Swaps), maxSwaps)
	}
}

func TestSelected(t *testing.T) {
	for in, want := range map[string]string{
		"always [madvise] never": "madvise", "[lzo-rle] lzo lz4": "lzo-rle", "lzo": "lzo", "": "", "a [b": "a [b", "a] [b]": "b",
	} {
		if got := Selected(in); got != want {
			t.Errorf("Selected(%q) = %q, want %q", in, got, want)
		}
	}
}

// TestFileGrows reads a file that outgrows the first buffer and shrinks again.
func TestFileGrows(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, "proc/vmstat")
	for _, size := range []int{10, 16 << 10, 16<<10 + 1, 100_000, 3} {
		writeFile(t, path, []byte(strings.Repeat("x", size)))
	}
	f, err := At(root).OpenFile("proc/vmstat")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{10, 16 << 10, 16<<10 + 1, 100_000, 3} {
		writeFile(t, path, []byte(strings.Repeat("x", size)))
		if got, err := f.Read(); err != nil || len(got) != size {
			t.Errorf("Read of %d bytes = %d bytes, %v", size, len(got), err)
		}
	}
	writeFile(t, path, nil)
	if _, err := f.Read(); err == nil {
		t.Error("Read of an empty file: no error, want one: the kernel always says something")
	}
}

func FuzzCounters(f *testing.F) {
	for _, file := range []string{thisMachine + "/proc/meminfo", thisMachine + "/proc/vmstat", desktop + "/proc/stat"} {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte("MemAvailable: 99999999999999999999999 kB"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var keys int
		eachCounter(text, func(key []byte, value uint64) {
			if len(key) == 0 || strings.ContainsAny(string(key), " \n") {
				t.Errorf("eachCounter yields the key %q", key)
			}
			keys++
		})
		if lines := strings.Count(string(text), "\n") + 1; keys > lines {
			t.Errorf("eachCounter yields %d counters of %d lines", keys, lines)
		}
		root := t.TempDir()
		for _, name := range []string{"meminfo", "vmstat", "stat"} {
			writeFile(t, filepath.Join(root, "proc", name), text)
		}
		At(root).Meminfo()
		At(root).Vmstat()
		At(root).CPUTime()
	})
}

func FuzzSwaps(f *testing.F) {
	for _, root := range []string{thisMachine, desktop, board} {
		b, err := os.ReadFile(root + "/proc/swaps")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		root := t.TempDir()
		writeFile(t, filepath.Join(root, "proc/swaps"), text)
		swaps, err := At(root).Swaps()
		if err != nil && swaps != nil {
			t.Errorf("Swaps = %+v beside the error %v", swaps, err)
		}
	})
}

func FuzzPressure(f *testing.F) {
	b, err := os.ReadFile(desktop + "/proc/pressure/memory")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("some avg10=0.00 avg60=0.00 avg300=0.00 total=1\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		root := t.TempDir()
		writeFile(t, filepath.Join(root, "proc/pressure/memory"), text)
		slow, ok := At(root).MemoryStall()
		f, err := At(root).OpenFile("proc/pressure/memory")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		// The two parsers must not tell different stories of a file that both take.
		if fast, err := f.Stall(); ok && err == nil && fast != slow {
			t.Errorf("File.Stall = %+v, MemoryStall = %+v", fast, slow)
		}
	})
}
