// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"memline/internal/anon"
	"memline/internal/cli"
	"memline/internal/exit"
	"memline/internal/kernel"
	"memline/internal/pages"
)

func size(t *testing.T, text string) cli.Size {
	t.Helper()
	s, err := cli.ParseSize(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// host has 8 GiB, of which 6 are available, and 1 GiB of free swap.
var host = kernel.Meminfo{TotalBytes: 8 << 30, AvailableBytes: 6 << 30, SwapTotalBytes: 2 << 30, SwapFreeBytes: 1 << 30}

func TestAdmission(t *testing.T) {
	zramSwap := []kernel.Swap{{Device: "/dev/zram3", SizeBytes: 2 << 30}}
	diskSwap := []kernel.Swap{{Device: "/dev/sda2", SizeBytes: 2 << 30}}
	for _, c := range []struct {
		name  string
		o     options
		m     kernel.Meminfo
		swaps []kernel.Swap
		code  int
	}{
		{"fits", options{Size: size(t, "5G")}, host, nil, exit.OK},
		{"a percentage is of what is available", options{Size: size(t, "90%")}, host, nil, exit.OK},
		{"leaves less than the reserve", options{Size: size(t, "5700M")}, host, nil, exit.Refused},
		{"smaller reserve", options{Size: size(t, "5700M"), Reserve: size(t, "128M")}, host, nil, exit.OK},
		{"reserve below the minimum", options{Size: size(t, "1G"), Reserve: size(t, "1%")}, host, nil, exit.Refused},
		{"page-out without swap", options{Size: size(t, "1M"), Pageout: true}, kernel.Meminfo{TotalBytes: 8 << 30, AvailableBytes: 6 << 30}, nil, exit.Unsupported},
		{"page-out into little swap", options{Size: size(t, "1025M"), Pageout: true}, host, zramSwap, exit.Refused},
		{"page-out", options{Size: size(t, "1G"), Pageout: true}, host, zramSwap, exit.OK},
		{"fence over disk swap", options{Size: size(t, "1500M"), MemoryLimit: size(t, "1G")}, host, diskSwap, exit.OK},
		{"fence without swap", options{Size: size(t, "1500M"), MemoryLimit: size(t, "1G")}, kernel.Meminfo{TotalBytes: 8 << 30, AvailableBytes: 6 << 30}, nil, exit.Unsupported},
		{"fence that only just fits leaves nothing for the process itself", options{Size: size(t, "1G"), MemoryLimit: size(t, "1G")}, kernel.Meminfo{TotalBytes: 8 << 30, AvailableBytes: 6 << 30}, nil, exit.Unsupported},
		{"fence with more beyond it than swap takes", options{Size: size(t, "3G"), MemoryLimit: size(t, "1G")}, host, diskSwap, exit.Refused},
		{"fence that does not fit", options{Size: size(t, "6G"), MemoryLimit: size(t, "5800M")}, host, diskSwap, exit.Refused},
		{"fence smaller than the process", options{Size: size(t, "1G"), MemoryLimit: size(t, "0.1%")}, host, diskSwap, exit.Refused},
	} {
		c.o.Pattern, c.o.Touch, c.o.Readback = "random", "none", "none"
		p, err := makePlan(&c.o, c.m, c.swaps)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		err = p.admit(c.m)
		if got, _ := exit.Code(err); got != c.code {
			t.Errorf("%s: admit = %v (code %d), want code %d", c.name, err, got, c.code)
		}
	}
}

func TestFenceChargesThePool(t *testing.T) {
	for _, c := range []struct {
		pattern, device string
		least, most     int64
	}{
		{"random", "/dev/zram0", 1 << 30, 1 << 30}, // incompressible: a pool as large as the pages
		{"text", "/dev/zram0", 400 << 20, 800 << 20},
		{"same", "/dev/zram0", 0, 64 << 20},
		{"random", "/dev/sda2", 0, 0}, // a disk takes no memory
	} {
		o := options{Size: size(t, "2G"), MemoryLimit: size(t, "1G"), Pattern: c.pattern}
		p, err := makePlan(&o, host, []kernel.Swap{{Device: c.device}})
		if err != nil {
			t.Fatal(err)
		}
		if *p.PoolBytes < c.least || *p.PoolBytes > c.most {
			t.Errorf("%s on %s: pool_bytes = %d, want %d to %d", c.pattern, c.device, *p.PoolBytes, c.least, c.most)
		}
		if got, want := p.ChargeBytes, int64(1<<30)+*p.PoolBytes; got != want {
			t.Errorf("%s on %s: charge_bytes = %d, want %d", c.pattern, c.device, got, want)
		}
	}
}

func TestClassesAddUp(t *testing.T) {
	for _, pattern := range pages.Names() {
		o := options{Size: size(t, "10M"), Pattern: pattern, Seed: 3}
		p, err := makePlan(&o, host, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := *p.ClassZeros + *p.ClassSame + *p.ClassSequential + *p.ClassRandom + *p.ClassText + *p.ClassPointers
		if want := p.Bytes / pages.PageSize; got != want {
			t.Errorf("%s: the classes have %d pages, want %d", pattern, got, want)
		}
	}
}

func TestPhasesComeInOneOrder(t *testing.T) {
	o := options{Verify: true, Readback: "random", Pageout: true, Touch: "sequential"}
	if err := o.Hold.UnmarshalText([]byte("1s")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"fill", "touch", "hold", "pageout", "readback", "verify"}, o.phases()); diff != "" {
		t.Errorf("phases (-want +got):\n%s", diff)
	}
	none := options{Touch: "none", Readback: "none"}
	if diff := cmp.Diff([]string{"fill"}, none.phases()); diff != "" {
		t.Errorf("phases without options (-want +got):\n%s", diff)
	}
}

func TestShareCoversEachByteOnce(t *testing.T) {
	page := kernel.PageSize()
	for _, bytes := range []int{page, 3 * page, anon.Chunk, 3*anon.Chunk + page, 64 * anon.Chunk} {
		for _, workers := range []int{1, 2, 3, 7, 1000} {
			mem := make([]byte, bytes)
			at := 0
			for i, w := range share(mem, workers) {
				if &w.mem[0] != &mem[at] || w.first != int64(at/pages.PageSize) || w.index != i {
					t.Fatalf("share(%d, %d): part %d starts elsewhere than at %d", bytes, workers, i, at)
				}
				at += len(w.mem)
			}
			if at != bytes {
				t.Errorf("share(%d, %d) covers %d bytes, want all", bytes, workers, at)
			}
		}
	}
}

func TestNewOrder(t *testing.T) {
	const n = 1000
	random := newOrder("random", n, 1)
	if slices.IsSorted(random) {
		t.Error("a random order is sorted")
	}
	if !slices.Equal(random, newOrder("random", n, 1)) {
		t.Error("the same seed gives two orders")
	}
	if slices.Equal(random, newOrder("random", n, 2)) {
		t.Error("two seeds give one order")
	}
	sequential := newOrder("sequential", n, 1)
	slices.Sort(random)
	if !slices.Equal(random, sequential) || !slices.IsSorted(sequential) {
		t.Error("an order does not list each page once")
	}
}

func TestCollectIsExactWhileValuesAreFew(t *testing.T) {
	a, b := newTimes(3), newTimes(2)
	for _, v := range []int64{100, 300, 200} {
		a.add(v)
	}
	b.add(400)
	b.add(500)
	sample, all := collect([]*times{a, b})
	if got := sample.Quantile(0.5); got != 300 || sample.Method() != "exact" || all.Count() != 5 {
		t.Errorf("collect = p50 %v by %s of %d, want exactly 300 of 5", got, sample.Method(), all.Count())
	}
	many := newTimes(20_000)
	for i := range int64(20_000) {
		many.add(i + 1)
	}
	sample, _ = collect([]*times{a, many})
	if sample.Method() != "exp5" || sample.Count() != 20_003 {
		t.Errorf("collect of 20,003 values is %s of %d, want exp5 of all", sample.Method(), sample.Count())
	}
}

func TestTrafficCountsEverySwap(t *testing.T) {
	three := int64(3)
	for _, c := range []struct {
		name    string
		m       measured
		out, in int64
		known   bool
	}{
		{"device, zero map and zswap", measured{Pswpout: &three, SwpoutZero: &three, Zswpout: &three, Pswpin: &three}, 9, 3, true},
		{"a kernel without zero map", measured{Pswpout: &three, Pswpin: &three}, 3, 3, true},
		{"a kernel without swap", measured{}, 0, 0, false},
	} {
		if out, in, known := c.m.traffic(); out != c.out || in != c.in || known != c.known {
			t.Errorf("%s: traffic = %d, %d, %t, want %d, %d, %t", c.name, out, in, known, c.out, c.in, c.known)
		}
	}
}
