// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"memline/internal/cgroup"
	"memline/internal/kernel"
	"memline/internal/kernel/kerneltest"
	"memline/internal/kernel/swaptest"
	"memline/internal/pages"
	"memline/internal/undo"
)

func tool(t *testing.T, args ...string) *kerneltest.Process {
	t.Helper()
	return kerneltest.Tool(t, "mempressure", args...)
}

// number is a field of a record that must be a number.
func number(t *testing.T, r map[string]any, key string) float64 {
	t.Helper()
	v, ok := r[key].(float64)
	if !ok {
		t.Fatalf("%s of %v is %v, want a number", key, r["phase"], r[key])
	}
	return v
}

// TestCountersAreTheTruth knows beforehand what every counter must say.
func TestCountersAreTheTruth(t *testing.T) {
	swaptest.On(t, 256<<20)
	const size = 32 << 20
	all := float64(size / kernel.PageSize())
	for _, c := range []struct {
		name       string
		args       []string
		out, zeros float64
	}{
		{"text", []string{"--pattern", "text"}, all, 0},
		{"two workers", []string{"--pattern", "mixed", "--workers", "2"}, all, 0},
		{"huge pages", []string{"--pattern", "pointers", "--thp", "always"}, all, 0},
		{"zero pages never reach the device", []string{"--pattern", "zeros"}, 0, all},
	} {
		p := tool(t, append(c.args, "32M", "--pageout", "--readback", "random", "--verify")...).Begin()
		if got := p.End(); got != 0 {
			t.Fatalf("%s: exit status %d: %s%s", c.name, got, p.Stdout(), p.Stderr())
		}
		out := p.Last("result", "pageout")
		if out["swpout_zero"] == nil {
			if c.zeros > 0 {
				t.Logf("skipped: %s: this kernel has no zero map", c.name)
				continue
			}
			out["swpout_zero"] = 0.0
		}
		in := p.Last("result", "readback")
		for _, f := range []struct {
			what string
			got  float64
			want float64
		}{
			{"pageout: pswpout", number(t, out, "pswpout"), c.out},
			{"pageout: swpout_zero", number(t, out, "swpout_zero"), c.zeros},
			{"pageout: resident_pages", number(t, out, "resident_pages"), 0},
			{"readback: pswpin", number(t, in, "pswpin"), c.out},
			{"readback: major_faults", number(t, in, "major_faults"), all},
			{"verify: pswpin", number(t, p.Last("result", "verify"), "pswpin"), 0},
			{"verify: verified_pages", number(t, p.Last("result", "verify"), "verified_pages"), size / pages.PageSize},
			{"histogram: count", number(t, p.Last("histogram", "readback"), "count"), all},
		} {
			if f.got != f.want {
				t.Errorf("%s: %s = %v, want %v", c.name, f.what, f.got, f.want)
			}
		}
		for _, phase := range []string{"fill", "pageout", "readback", "verify"} {
			if got := p.Last("result", phase)["contaminated"]; got != false {
				t.Errorf("%s: %s: contaminated = %v, want false", c.name, phase, got)
			}
		}
	}
}

func TestFillFaultsOnceAPage(t *testing.T) {
	kerneltest.HostLock(t)
	swaptest.Journal(t)
	p := tool(t, "32M", "--thp", "never").Begin()
	if got := p.End(); got != 0 {
		t.Fatalf("exit status %d: %s", got, p.Stderr())
	}
	// The Go runtime may have some faults of its own on the worker's thread; anon's tests prove the exact number.
	got, want := number(t, p.Last("result", "fill"), "minor_faults"), float64(32<<20/kernel.PageSize())
	if got < want || got > want+want/16 {
		t.Errorf("fill: minor_faults = %v, want %v and at most a few of the runtime", got, want)
	}
}

func TestNeighboursContaminate(t *testing.T) {
	swaptest.On(t, 256<<20)
	first := tool(t, "32M", "--hold", "1ms", "--pause-after", "fill").Begin()
	first.Until("ready", "fill")
	second := tool(t, "8M", "--pageout", "--pause-after", "pageout").Begin()
	second.Until("ready", "pageout") // its swap-outs fall between first's phases and count for neither
	third := tool(t, "64M", "--pageout", "--readback", "random", "--pause-after", "fill").Begin()
	third.Until("ready", "fill")
	fmt.Fprintln(first.Input)
	if got := first.End(); got != 0 {
		t.Fatalf("exit status %d: %s", got, first.Stderr())
	}
	if got := first.Last("result", "hold")["contaminated"]; got != false {
		t.Errorf("contaminated = %v though nobody swapped meanwhile, want false", got)
	}
	holder := tool(t, "16M", "--hold", "1500ms").Begin()
	holder.Until("result", "fill")
	fmt.Fprintln(third.Input)
	if got := third.End(); got != 0 {
		t.Fatalf("exit status %d: %s", got, third.Stderr())
	}
	if got := holder.End(); got != 0 {
		t.Fatalf("exit status %d: %s", got, holder.Stderr())
	}
	if got := holder.Last("result", "hold")["contaminated"]; got != true {
		t.Errorf("contaminated = %v beside a process that swapped, want true", got)
	}
	if got := holder.Last("warning", "")["reason"]; got != "contaminated" {
		t.Errorf("warning = %v, want contaminated", got)
	}
}

// mapping finds the test memory of a process: the one anonymous mapping of its size.
func mapping(t *testing.T, pid, size int) int64 {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var begin, end int64
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x rw-p 00000000 00:00 0", &begin, &end); err == nil && end-begin == int64(size) {
			return begin
		}
	}
	t.Fatalf("process %d has no mapping of %d bytes", pid, size)
	return 0
}

func TestVerifyCatchesOneByte(t *testing.T) {
	kerneltest.HostLock(t)
	swaptest.Journal(t)
	const size, page, offset = 6 << 20, 1234, 4095
	for _, workers := range []string{"1", "2"} {
		p := tool(t, "6M", "--pattern", "text", "--workers", workers, "--verify", "--pause-after", "fill").Begin()
		p.Until("ready", "fill")
		mem, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", p.Cmd.Process.Pid), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer mem.Close()
		at, b := mapping(t, p.Cmd.Process.Pid, size)+page*pages.PageSize+offset, make([]byte, 1)
		if _, err := mem.ReadAt(b, at); err != nil {
			t.Fatal(err)
		}
		want := map[string]float64{"page": page, "offset": offset, "expected": float64(b[0]), "found": float64(b[0] ^ 1)}
		b[0] ^= 1
		if _, err := mem.WriteAt(b, at); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(p.Input)
		if got := p.End(); got != 1 {
			t.Errorf("exit status %d with a wrong byte, want 1", got)
		}
		for key, w := range want {
			if got := number(t, p.Last("mismatch", ""), key); got != w {
				t.Errorf("mismatch: %s = %v, want %v", key, got, w)
			}
		}
		if got := p.Last("error", "")["reason"]; got != "wrong_byte" {
			t.Errorf("error.reason = %v, want wrong_byte", got)
		}
		if !strings.Contains(p.Stderr(), "page 1234, byte 4095") {
			t.Errorf("stderr = %q, want the page and the byte", p.Stderr())
		}
	}
}

func TestNoSwap(t *testing.T) {
	kerneltest.HostLock(t)
	swaptest.Journal(t)
	if swaps, err := kernel.Root().Swaps(); err != nil || len(swaps) > 0 {
		t.Skipf("skipped: needs a host without swap, has %d areas (%v)", len(swaps), err)
	}
	for _, args := range [][]string{{"8M", "--pageout"}, {"128M", "--memory-limit", "64M"}} {
		p := tool(t, args...).Begin()
		if got := p.End(); got != 69 {
			t.Errorf("%v: exit status %d, want 69", args, got)
		}
		if e := p.Last("error", ""); e["reason"] != "no_swap" || !strings.Contains(e["detail"].(string), "zramctl create") {
			t.Errorf("%v: error = %v, want no_swap with the next step", args, e)
		}
		if bytes.Contains(p.Stdout(), []byte(`"event":"result"`)) {
			t.Errorf("%v: something was filled before the refusal", args)
		}
	}
}

func TestLittleSwap(t *testing.T) {
	swaptest.On(t, 32<<20)
	p := tool(t, "64M", "--pageout").Begin()
	if got := p.End(); got != 75 {
		t.Errorf("exit status %d with too little swap, want 75: %s", got, p.Stderr())
	}
	if !strings.Contains(p.Stderr(), "64 MiB do not fit the 31 MiB of free swap") {
		t.Errorf("stderr = %q, want the numbers", p.Stderr())
	}
}

func TestFence(t *testing.T) {
	_, journal := swaptest.On(t, 512<<20)
	args := []string{"128M", "--pattern", "text", "--memory-limit", "64M", "--touch", "random", "--verify"}
	p := tool(t, append(args, "--pause-after", "fill")...).Begin()
	p.Until("ready", "fill")
	status, err := kernel.Root().Status(p.Cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if status.SwapBytes < 56<<20 || status.SwapBytes > 112<<20 {
		t.Errorf("VmSwap = %d behind a fence of 64 MiB, want about half of 128 MiB", status.SwapBytes)
	}
	fmt.Fprintln(p.Input)
	if got := p.End(); got != 0 {
		t.Fatalf("exit status %d: %s", got, p.Stderr())
	}
	if got := p.Last("result", "fill")["contaminated"]; got != nil {
		t.Errorf("contaminated = %v behind a fence, want null", got)
	}
	if live, err := journal.Live(); err != nil || standing(live) != 0 {
		t.Errorf("%d changes stand afterwards, %v, want 0", standing(live), err)
	}

	// Killed inside, it leaves the folder, which restore removes.
	p = tool(t, append(args, "--pause-after", "fill")...).Begin()
	p.Until("ready", "fill")
	p.Cmd.Process.Kill()
	p.End()
	live, err := journal.Live()
	if err != nil || standing(live) != 2 {
		t.Fatalf("%d changes stand after kill -9, %v, want the holder and the fence", standing(live), err)
	}
	result, err := journal.Restore(t.Context(), undo.Plan{Reversers: map[string]undo.Reverser{cgroup.Kind: cgroup.Reverser(kernel.Root())}})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range result.Outcomes {
		if o.Kind == cgroup.Kind {
			if _, err := os.Stat(o.Target); !os.IsNotExist(err) {
				t.Errorf("%s is still there after restore: %v", o.Target, err)
			}
		}
	}
	if live, _ := journal.Live(); standing(live) != 0 {
		t.Errorf("%d changes stand after restore, want 0", standing(live))
	}
}

// standing counts the changes that mempressure makes: the test's own swap device and the snapshots are not among them.
func standing(live []*undo.Change) (n int) {
	for _, c := range live {
		if kind := c.Entry().Kind; kind == undo.KindHolder || kind == cgroup.Kind {
			n++
		}
	}
	return n
}

func TestKilledWhileItsPagesAreSwapped(t *testing.T) {
	device, journal := swaptest.On(t, 256<<20)
	p := tool(t, "64M", "--pageout", "--readback", "random", "--pause-after", "pageout").Begin()
	p.Until("ready", "pageout")
	p.Cmd.Process.Signal(unix.SIGKILL)
	if got := p.End(); got != 128+9 {
		t.Fatalf("exit status %d, want 137", got)
	}
	if _, err := journal.Restore(t.Context(), undo.Plan{}); err != nil {
		t.Fatal(err)
	}
	live, err := journal.Live()
	if err != nil || standing(live) != 0 {
		t.Errorf("%d changes stand after restore, %v, want 0", standing(live), err)
	}
	if stats, _ := device.Stats(); !stats.SwapOn {
		t.Error("restore took the living test's own swap device")
	}
}
