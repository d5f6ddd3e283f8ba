// SPDX-License-Identifier: Apache-2.0

package zram

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"memline/internal/exit"
	"memline/internal/kernel"
	"memline/internal/undo"
)

// TestCreate makes a swap device of every algorithm and holds each field against the kernel's own text.
func TestCreate(t *testing.T) {
	c, j := real(t)
	trial := create(t, c, j, undo.Persistent(), Plan{SizeBytes: 1 << 20})
	offered, _, err := trial.Algorithms()
	if err != nil {
		t.Fatal(err)
	}
	destroy(t, trial, j)
	for i, name := range offered {
		plan := Plan{SizeBytes: 8 << 20, Algorithm: name, MemLimitBytes: 4 << 20, Swap: true, Priority: 7 + i}
		d := create(t, c, j, undo.Persistent(), plan)
		s, unread := d.Stats()
		if len(unread) != 0 {
			t.Errorf("unread: %v", unread)
		}
		if s.Algorithm != name || s.DisksizeBytes != plan.SizeBytes || *s.MemLimit != plan.MemLimitBytes || !s.SwapOn || *s.SwapPriority != plan.Priority {
			t.Errorf("%s: %+v, want as in %+v", name, s, plan)
		}
		change, err := d.Find(j)
		if err != nil {
			t.Fatal(err)
		}
		if got := command(t, "blkid", "-p", "-s", "UUID", "-o", "value", d.Node()); strings.ReplaceAll(strings.TrimSpace(got), "-", "") != change.ID() {
			t.Errorf("the header's UUID is %q, want the journal's id %s", got, change.ID())
		}
		destroy(t, d, j)
		if there, err := d.exists(); there || err != nil {
			t.Errorf("%s is still there (%v)", d.Name(), err)
		}
	}
	wantStanding(t, j, 0)
}

// TestStatsOfData writes pages of each sort to a device and finds them in the counters, each field equal to the file.
func TestStatsOfData(t *testing.T) {
	c, j := real(t)
	d := create(t, c, j, undo.Persistent(), Plan{SizeBytes: 16 << 20, Algorithm: "lz4"})
	page := kernel.PageSize()
	const zeros, same, random, text = 100, 50, 30, 20
	var data []byte
	add := func(n int, fill func(page []byte)) {
		for range n {
			b := make([]byte, page)
			fill(b)
			data = append(data, b...)
		}
	}
	add(zeros, func([]byte) {})
	add(same, func(b []byte) { copy(b, bytes.Repeat([]byte("samefill"), page/8)) })
	source := rand.NewChaCha8([32]byte{1})
	add(random, func(b []byte) { source.Read(b) })
	add(text, func(b []byte) {
		copy(b, bytes.Repeat([]byte(fmt.Sprintf("line %d of a text\n", source.Uint64())), page/16))
	})
	writeDirect(t, d, data)

	s, unread := d.Stats()
	if len(unread) != 0 {
		t.Errorf("unread: %v", unread)
	}
	if *s.SamePages != zeros+same || *s.HugePages != random || *s.HugeSince != random || *s.OrigDataSize != int64(len(data)) {
		t.Errorf("same_pages %d, huge_pages %d, huge_pages_since %d, orig_data_size %d, want %d, %d, %d, %d",
			*s.SamePages, *s.HugePages, *s.HugeSince, *s.OrigDataSize, zeros+same, random, random, len(data))
	}
	if *s.ComprDataSize < int64(random*page) || *s.ComprDataSize >= int64((random+text)*page) || *s.MemUsedTotal < *s.ComprDataSize {
		t.Errorf("compr_data_size %d, mem_used_total %d: the random pages take %d", *s.ComprDataSize, *s.MemUsedTotal, random*page)
	}
	if got := *s.NonsamePoolRatio * float64(*s.MemUsedTotal); int64(got+0.5) != int64((random+text)*page) {
		t.Errorf("nonsame_pool_ratio %v means %v bytes, want %d", *s.NonsamePoolRatio, got, (random+text)*page)
	}
	got := asMap(t, s)
	for file, names := range map[string][]string{"mm_stat": mmStat, "io_stat": ioStat, "stat": stat} {
		raw, err := os.ReadFile(d.attr(file))
		if err != nil {
			t.Fatal(err)
		}
		for i, field := range strings.Fields(string(raw)) {
			if want, _ := strconv.ParseFloat(field, 64); got[names[i]] != want {
				t.Errorf("%s = %v, %s says %v", names[i], got[names[i]], file, want)
			}
		}
	}
	if err := d.Compact(); err != nil {
		t.Errorf("Compact: %v", err)
	}
}

// TestMemLimit counts what the limit turns away.
func TestMemLimit(t *testing.T) {
	c, j := real(t)
	d := create(t, c, j, undo.Persistent(), Plan{SizeBytes: 4 << 20, MemLimitBytes: 1 << 20})
	data := make([]byte, 2<<20)
	rand.NewChaCha8([32]byte{2}).Read(data)
	if err := tryWriteDirect(d, data); err == nil {
		t.Error("writing 2 MiB of noise into a pool of 1 MiB: no error")
	}
	s, _ := d.Stats()
	if *s.FailedWrites == 0 || *s.MemUsedTotal > 1<<20 || *s.MemLimit != 1<<20 {
		t.Errorf("failed_writes %d, mem_used_total %d, mem_limit %d, want some, at most 1 MiB, 1 MiB", *s.FailedWrites, *s.MemUsedTotal, *s.MemLimit)
	}
}

// TestCreateFails leaves nothing behind: an unknown algorithm, no room for a header, a context that ends, an owner that
// has gone, a journal without room.
func TestCreateFails(t *testing.T) {
	c, j := real(t)
	ended, cancel := context.WithCancelCause(t.Context())
	told := exit.New(exit.Interrupted, "signal", "interrupted")
	cancel(told)
	gone := self(t)
	gone.StartTicks--
	for _, test := range []struct {
		name  string
		ctx   context.Context
		owner undo.Owner
		plan  Plan
		code  int
		say   string
	}{
		{"algorithm", t.Context(), undo.Persistent(), Plan{SizeBytes: 1 << 20, Algorithm: "nonsense"}, exit.Unsupported, `no algorithm "nonsense"; it offers lz`},
		{"size 0", t.Context(), undo.Persistent(), Plan{}, exit.Unsupported, "cannot set up"},
		{"too small for swap", t.Context(), undo.Persistent(), Plan{SizeBytes: 4096, Swap: true}, exit.Failure, "too small"},
		{"absurd", t.Context(), undo.Persistent(), Plan{SizeBytes: 1 << 52}, exit.Refused, "ask for a smaller one"},
		{"stopped", ended, undo.Persistent(), Plan{SizeBytes: 1 << 20, Swap: true}, exit.Interrupted, "interrupted"},
		{"dead owner", t.Context(), gone, Plan{SizeBytes: 1 << 20}, exit.Refused, "has ended"},
	} {
		_, err := c.Create(test.ctx, j, test.owner, test.plan)
		if code(err) != test.code || !strings.Contains(err.Error(), test.say) {
			t.Errorf("%s: Create = %v, want code %d with %q", test.name, err, test.code, test.say)
		}
		wantStanding(t, j, 0)
	}
}

// TestNoRoom makes nothing when the journal's disk is full.
func TestNoRoom(t *testing.T) {
	c, j := real(t)
	dir := os.Getenv(undo.DirEnv)
	command(t, "mount", "-t", "tmpfs", "-o", "size=16k,mode=755", "memline-test", dir)
	t.Cleanup(func() { command(t, "umount", dir) })
	if err := os.WriteFile(filepath.Join(dir, "fill"), make([]byte, 8<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	before := numbers(t, c)
	if _, err := c.Create(t.Context(), j, undo.Persistent(), Plan{SizeBytes: 1 << 20}); !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("Create = %v, want %v and that nothing was changed", err, unix.ENOSPC)
	}
	if diff := cmp.Diff(before, numbers(t, c)); diff != "" {
		t.Errorf("devices: -before +after\n%s", diff)
	}
}

// TestSettleRefused hands nothing to an owner that dies while the device is being made.
func TestSettleRefused(t *testing.T) {
	c, j := real(t)
	owner, script := sleeper(t)
	d, change, err := c.Make(t.Context(), j, owner, Plan{SizeBytes: 1 << 20, Swap: true})
	if err != nil {
		t.Fatal(err)
	}
	end(script)
	if err := change.Settle(nil); code(err) != exit.Refused {
		t.Errorf("Settle = %v, want code %d", err, exit.Refused)
	}
	if err := d.Destroy(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	wantStanding(t, j, 0)
}
