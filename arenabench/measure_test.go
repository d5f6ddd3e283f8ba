// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"

	"memline/internal/cli"
	"memline/internal/exit"
	"memline/internal/kernel"
	"memline/internal/pages"
)

// faulty is a copy whose ways out and in a test can replace.
type faulty struct {
	out func(stored []byte) // changes what was stored
	in  func(page, stored []byte) error
}

func (faulty) Name() string { return "faulty" }

func (f faulty) Append(dst, page []byte) []byte {
	dst = append(dst, page...)
	if f.out != nil {
		f.out(dst[len(dst)-len(page):])
	}
	return dst
}

func (f faulty) Decompress(page, stored []byte) error {
	if f.in != nil {
		return f.in(page, stored)
	}
	copy(page, stored)
	return nil
}

func testPlan(t *testing.T, pattern, size string) plan {
	t.Helper()
	o := codecsOptions{Codec: []string{floor}, Pattern: pattern, Seed: 1, Passes: 1}
	var err error
	if o.Size, err = cli.ParseSize(size); err != nil {
		t.Fatal(err)
	}
	p, err := o.plan(kernel.Meminfo{TotalBytes: 1 << 30, AvailableBytes: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func testBench(t *testing.T, pattern, size string) *bench {
	t.Helper()
	b, err := newBench(context.Background(), kernel.Root(), testPlan(t, pattern, size), func(int64) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func measure(b *bench, c coder) (figures, *lengths, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return b.measure(context.Background(), c, func(int64) {})
}

func TestOneWrongByteIsCaught(t *testing.T) {
	page := -1 // counts the calls of the codec under test
	for _, test := range []struct {
		name  string
		size  string
		coder faulty
		want  string
	}{
		{"a bit flipped in the stored form", "1200K", faulty{out: func(b []byte) {
			if page++; page == 299 {
				b[4095] ^= 1
			}
		}}, "faulty brought page 299 back wrong, first at byte 4095"},
		{"a bit flipped on the way back", "1200K", faulty{in: func(b, stored []byte) error {
			copy(b, stored)
			if page++; page == 256 {
				b[17] ^= 0x80
			}
			return nil
		}}, "faulty brought page 256 back wrong, first at byte 17"},
		// One batch: what an earlier codec brought back would be the right answer.
		{"nothing written", "1M", faulty{in: func([]byte, []byte) error { return nil }},
			"faulty brought page 0 back wrong, first at byte 0"},
		{"an error", "1200K", faulty{in: func(b, stored []byte) error {
			copy(b, stored)
			if page++; page == 3 {
				return errors.New("corrupt input")
			}
			return nil
		}}, "page 3: corrupt input"},
	} {
		b := testBench(t, "text", test.size)
		if _, _, err := measure(b, faulty{}); err != nil { // leaves right pages where the next codec has to write
			t.Fatal(err)
		}
		page = -1
		_, _, err := measure(b, test.coder)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: measure = %v, want an error with %q", test.name, err, test.want)
		}
		if code, _ := exit.Code(err); code != exit.Failure {
			t.Errorf("%s: exit code %d, want %d", test.name, code, exit.Failure)
		}
	}
}

// TestACodecThatSpoilsItsInputIsCaught: comparing with the source alone would not see it.
func TestACodecThatSpoilsItsInputIsCaught(t *testing.T) {
	b := testBench(t, "text", "64K")
	b.data.Bytes()[5*pages.PageSize+9] ^= 1
	_, _, err := measure(b, faulty{})
	if err == nil || !strings.Contains(err.Error(), "page 5 back wrong, first at byte 9") {
		t.Errorf("measure = %v, want an error about page 5, byte 9", err)
	}
}

func TestAllocationsAreCounted(t *testing.T) {
	b := testBench(t, "text", "1200K")
	var sink []byte
	f, _, err := measure(b, faulty{out: func([]byte) { sink = make([]byte, 64) }})
	if err != nil {
		t.Fatal(err)
	}
	if f.HeapAllocs < f.Pages {
		t.Errorf("%d allocations for %d pages with one in each", f.HeapAllocs, f.Pages)
	}
	runtime.KeepAlive(sink)
	f, _, err = measure(b, faulty{})
	if err != nil {
		t.Fatal(err)
	}
	if f.HeapAllocs >= f.Pages/4 { // a few may come from elsewhere in the process
		t.Errorf("%d allocations for %d pages with none in them", f.HeapAllocs, f.Pages)
	}
}

func TestStopsBetweenBatches(t *testing.T) {
	b := testBench(t, "text", "4M")
	for _, batches := range []int{0, 1, 5} { // 4 to compress, 4 to bring back
		ctx, cancel := context.WithCancelCause(context.Background())
		done := 0
		if batches == 0 {
			cancel(exit.New(exit.Interrupted, "signal", "interrupted"))
		}
		_, _, err := b.measure(ctx, faulty{}, func(int64) {
			if done++; done == batches {
				cancel(exit.New(exit.Interrupted, "signal", "interrupted"))
			}
		})
		if code, _ := exit.Code(err); code != exit.Interrupted || done != batches {
			t.Errorf("stopped after %d batches: measure = %v after %d batches, want the signal", batches, err, done)
		}
	}
}

// TestTheGuardStopsTheFill: what the brake says is what the run ends with, and how far it came is in it.
func TestTheGuardStopsTheFill(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	b, err := newBench(ctx, kernel.Root(), testPlan(t, "text", "16M"), func(int64) {
		cancel(exit.New(exit.Refused, "guard", "the guard braked"))
	})
	code, reason := exit.Code(err)
	if code != exit.Refused || reason != "guard" || !strings.Contains(err.Error(), "the guard braked after filling 2.00 MiB of 16.0 MiB") {
		t.Errorf("newBench = %v (%d %s), want the guard's refusal with the bytes reached", err, code, reason)
	}
	if len(b.data.Bytes()) != 0 || len(b.store.Bytes()) != 0 {
		t.Error("a stopped fill keeps its memory")
	}
}

func TestOrdersAreMirrored(t *testing.T) {
	const n, passes = 5, 7
	got := orders(n, passes)
	if len(got) != passes {
		t.Fatalf("orders(%d, %d) has %d passes, want %d", n, passes, len(got), passes)
	}
	for i, order := range got {
		sorted := slices.Clone(order)
		slices.Sort(sorted)
		if !slices.Equal(sorted, []int{0, 1, 2, 3, 4}) {
			t.Errorf("pass %d: order %v leaves a codec out", i+1, order)
		}
		if i%2 == 1 {
			back := slices.Clone(order)
			slices.Reverse(back)
			if !slices.Equal(back, got[i-1]) {
				t.Errorf("pass %d: order %v is not the reverse of %v", i+1, order, got[i-1])
			}
		}
	}
}

func TestPercentile(t *testing.T) {
	var l lengths
	if got := l.percentile(50); got != nil {
		t.Errorf("percentile(50) of nothing = %v, want null", *got)
	}
	l[4096], l[2048], l[1024], l[512] = 1, 1, 1, 1
	for percent, want := range map[int64]float64{1: 1, 25: 1, 26: 2, 50: 2, 51: 4, 75: 4, 76: 8, 100: 8} {
		if got := l.percentile(percent); got == nil || *got != want {
			t.Errorf("percentile(%d) = %v, want %v", percent, got, want)
		}
	}
}

// TestThePlanHoldsItsMemory: what the run maps is within what it asked to be admitted.
func TestThePlanHoldsItsMemory(t *testing.T) {
	p := testPlan(t, "mixed", "16M")
	b := testBench(t, "mixed", "16M")
	mapped := int64(len(b.data.Bytes()) + len(b.store.Bytes()) + 2*len(b.lengths) + len(b.back))
	if mapped > p.MemoryBytes {
		t.Errorf("%d bytes mapped, the plan says %d", mapped, p.MemoryBytes)
	}
}
