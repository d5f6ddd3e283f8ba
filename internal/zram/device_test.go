// SPDX-License-Identifier: Apache-2.0

package zram

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"memline/internal/exit"
	"memline/internal/kernel"
	"memline/internal/kernel/kerneltest"
	"memline/internal/undo"
)

// TestMain lets the test binary be a process that dies while it adds a device, and one that holds swapped-out pages.
func TestMain(m *testing.M) {
	switch role := os.Getenv("ZRAM_TEST_ROLE"); role {
	case "":
		os.Exit(m.Run())
	case "pages":
		os.Exit(holdPages())
	default:
		os.Exit(die(role))
	}
}

// die begins to add a device as add does, and dies before or after hot_add.
func die(role string) int {
	dir, err := undo.OpenDir(undo.DefaultDir)
	if err != nil {
		return complain(err)
	}
	j, err := undo.Open(dir, kernel.Root())
	if err != nil {
		return complain(err)
	}
	owner, err := undo.EnvOwner(kernel.Root())
	if err != nil {
		return complain(err)
	}
	c := Control{root: kernel.Root()}
	var t trace
	j.BeginMade(owner, Kind, func() (any, error) {
		devices, err := c.Devices()
		t.Existing = []int{}
		for _, d := range devices {
			seq, _ := d.sequence()
			t.Existing, t.Newest = append(t.Existing, d.Number), max(t.Newest, seq)
		}
		return t, err
	}, func() (any, error) {
		if role == "after" {
			text, _ := kernel.Root().Text(hotAdd)
			fmt.Println(text)
		}
		unix.Kill(os.Getpid(), unix.SIGKILL)
		select {}
	})
	return 1
}

func complain(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// real opens the running kernel's zram under the host lock, with a journal of the test's, and checks at the end that no
// device has come or gone and that no swap area has changed.
func real(t *testing.T) (Control, *undo.Journal) {
	t.Helper()
	kerneltest.Zram(t)
	kerneltest.HostLock(t)
	c, err := Open(kernel.Root())
	if err != nil {
		t.Fatal(err)
	}
	c.patience = 200 * time.Millisecond
	before, err := undo.TakeSnapshot(kernel.Root())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		now, err := undo.TakeSnapshot(kernel.Root())
		if err != nil {
			t.Fatal(err)
		}
		for _, diff := range before.Diff(now) {
			t.Errorf("the host is not as before: %s was %q, is %q", diff.What, diff.Was, diff.Is)
		}
	})
	return c, state(t)
}

// foreign hot-adds a device that memline knows nothing of, and removes it at the end of the test.
func foreign(t *testing.T, sizeBytes int64) Device {
	t.Helper()
	text, err := kernel.Root().Text(hotAdd)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	d := Device{root: kernel.Root(), Number: number}
	seq, err := d.sequence()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if now, _ := d.sequence(); now != seq {
			t.Errorf("the foreign %s is gone", d.Name())
			return
		}
		exec.Command("swapoff", d.Node()).Run()
		if err := writeFile(d.root.Path(hotRemove), strconv.Itoa(number)); err != nil {
			t.Error(err)
		}
	})
	if sizeBytes > 0 {
		if err := writeFile(d.attr("disksize"), strconv.FormatInt(sizeBytes, 10)); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v: %s", name, args, err, out)
	}
	return string(out)
}

func self(t *testing.T) undo.Owner {
	t.Helper()
	o, err := undo.Self(kernel.Root())
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// sleeper is a process that devices can belong to.
func sleeper(t *testing.T) (undo.Owner, *exec.Cmd) {
	t.Helper()
	cmd := exec.Command("sleep", "300")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end(cmd) })
	o, err := undo.OwnerOf(kernel.Root(), cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	return o, cmd
}

func end(cmd *exec.Cmd) {
	cmd.Process.Kill()
	cmd.Wait()
}

func create(t *testing.T, c Control, j *undo.Journal, owner undo.Owner, plan Plan) Device {
	t.Helper()
	d, err := c.Create(t.Context(), j, owner, plan)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // whatever went wrong
		if change, err := d.Find(j); err == nil {
			if err := d.Destroy(context.Background(), change); err != nil {
				t.Error(err)
			}
		}
	})
	return d
}

func destroy(t *testing.T, d Device, j *undo.Journal) {
	t.Helper()
	change, err := d.Find(j)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Destroy(t.Context(), change); err != nil {
		t.Fatal(err)
	}
}

func restore(t *testing.T, c Control, j *undo.Journal) (undo.Restored, error) {
	t.Helper()
	t.Setenv(undo.LockEnv, "") // the journal's folder has a lock of its own
	return j.Restore(t.Context(), undo.Plan{Wait: time.Minute, Reversers: map[string]undo.Reverser{Kind: c.Reverser(j)}})
}

func wantStanding(t *testing.T, j *undo.Journal, want int) {
	t.Helper()
	live, err := j.Live()
	if err != nil {
		t.Fatal(err)
	}
	live = slices.DeleteFunc(live, func(c *undo.Change) bool { return c.Entry().Kind != Kind })
	if len(live) != want {
		t.Errorf("the journal holds %d devices, want %d", len(live), want)
	}
}

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

// writeDirect writes past the page cache, as swap does.
func writeDirect(t *testing.T, d Device, data []byte) {
	t.Helper()
	if err := tryWriteDirect(d, data); err != nil {
		t.Fatal(err)
	}
}

func tryWriteDirect(d Device, data []byte) error {
	fd, err := unix.Open(d.Node(), unix.O_WRONLY|unix.O_DIRECT|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	b, err := unix.Mmap(-1, 0, len(data), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return err
	}
	defer unix.Munmap(b)
	copy(b, data)
	_, err = unix.Pwrite(fd, b, 0)
	return err
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

// TestForeign keeps other people's devices as they are through everything that memline does: one with data, one swapped
// on, one empty.
func TestForeign(t *testing.T) {
	c, j := real(t)
	withData := foreign(t, 1<<20)
	data := bytes.Repeat([]byte("somebody's data "), 4096)
	writeDirect(t, withData, data)
	swapped := foreign(t, 1<<20)
	command(t, "mkswap", swapped.Node())
	command(t, "swapon", "-p", "3", swapped.Node())
	empty := foreign(t, 0)

	owner, script := sleeper(t)
	kept := create(t, c, j, undo.Persistent(), Plan{SizeBytes: 1 << 20, Swap: true, Priority: 4})
	create(t, c, j, owner, Plan{SizeBytes: 1 << 20, Swap: true, Priority: 5})
	create(t, c, j, owner, Plan{SizeBytes: 1 << 20})
	end(script)
	for range 2 {
		r, err := restore(t, c, j)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range r.Differences {
			t.Errorf("not as before: %+v", d)
		}
	}
	for _, d := range []Device{withData, swapped, empty} {
		if _, err := d.Find(j); code(err) != exit.Refused {
			t.Errorf("Find of the foreign %s = %v, want code %d", d.Name(), err, exit.Refused)
		}
	}
	got, err := os.ReadFile(withData.Node())
	if err != nil || !bytes.HasPrefix(got, data) {
		t.Errorf("the data of %s is not as before (%v)", withData.Name(), err)
	}
	if on, _, err := swapped.swapUse(); !on || err != nil {
		t.Errorf("%s is no longer swapped on (%v)", swapped.Name(), err)
	}
	if empty.Initialised() {
		t.Errorf("%s has been set up", empty.Name())
	}
	destroy(t, kept, j)
	wantStanding(t, j, 0)
}

// TestNumberReused gives the number of a device of ours to somebody else's, even one with a copy of our swap header: the
// kernel's sequence number tells them apart.
func TestNumberReused(t *testing.T) {
	for _, theirs := range []string{"empty", "plain", "swapped on", "with our header"} {
		t.Run(theirs, func(t *testing.T) {
			c, j := real(t)
			owner, script := sleeper(t)
			ours := create(t, c, j, owner, Plan{SizeBytes: 1 << 20, Swap: true, Priority: 4})
			header, err := os.ReadFile(ours.Node())
			if err != nil {
				t.Fatal(err)
			}
			was, _ := ours.sequence()
			command(t, "swapoff", ours.Node()) // somebody else takes it away ...
			if err := writeFile(ours.root.Path(hotRemove), strconv.Itoa(ours.Number)); err != nil {
				t.Fatal(err)
			}
			size := int64(1 << 20)
			if theirs == "empty" {
				size = 0
			}
			d := foreign(t, size) // ... and gets the number
			if d.Number != ours.Number {
				t.Fatalf("the kernel gave %s, not %s again", d.Name(), ours.Name())
			}
			switch theirs {
			case "swapped on":
				command(t, "mkswap", d.Node())
				command(t, "swapon", d.Node())
			case "with our header":
				writeDirect(t, d, header[:kernel.PageSize()])
				command(t, "swapon", d.Node())
			}
			seq, _ := d.sequence()
			if seq == was {
				t.Fatalf("sequence number %d was given twice", seq)
			}
			end(script)
			if _, err := d.Find(j); code(err) != exit.Refused {
				t.Errorf("Find = %v, want code %d", err, exit.Refused)
			}
			if _, err := restore(t, c, j); err != nil {
				t.Errorf("Restore: %v", err)
			}
			wantStanding(t, j, 0)
			if now, _ := d.sequence(); now != seq {
				t.Errorf("%s was disk %d, is %d: restore has taken somebody else's device", d.Name(), seq, now)
			}
			if on, _, _ := d.swapUse(); on != strings.Contains(theirs, "swapped on") && theirs != "with our header" {
				t.Errorf("swapped on = %t after restore", on)
			}
		})
	}
}

// TestOpened meets a process that has the device open: a refusal that names it, the device stays its owner's, and it goes
// once the process has closed it.
func TestOpened(t *testing.T) {
	c, j := real(t)
	d := create(t, c, j, undo.Persistent(), Plan{SizeBytes: 1 << 20})
	reader := exec.Command("sh", "-c", `exec 9<"$0"; echo; exec sleep 300`, d.Node())
	out, err := reader.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := reader.Start(); err != nil {
		t.Fatal(err)
	}
	defer end(reader)
	out.Read(make([]byte, 1))
	change, err := d.Find(j)
	if err != nil {
		t.Fatal(err)
	}
	err = d.Destroy(t.Context(), change)
	if code(err) != exit.Refused || !strings.Contains(err.Error(), fmt.Sprintf("sleep (pid %d) has it open", reader.Process.Pid)) {
		t.Errorf("Destroy of an open device = %v, want code %d naming pid %d", err, exit.Refused, reader.Process.Pid)
	}
	if change, err = d.Find(j); err != nil || !change.Entry().Owner.Persistent {
		t.Errorf("after the refusal the device belongs to %v (%v), want its owner still", change.Entry().Owner, err)
	}
	end(reader)
	destroy(t, d, j)
	wantStanding(t, j, 0)
}

// TestHalfDestroyed leaves a device that is already out of swap, but still open, to restore.
func TestHalfDestroyed(t *testing.T) {
	c, j := real(t)
	d := create(t, c, j, undo.Persistent(), Plan{SizeBytes: 1 << 20, Swap: true, Priority: 4})
	open, err := os.Open(d.Node())
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	change, err := d.Find(j)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Destroy(t.Context(), change); code(err) != exit.Refused {
		t.Errorf("Destroy of an open device = %v, want code %d", err, exit.Refused)
	}
	if on, _, _ := d.swapUse(); on {
		t.Error("still swapped on")
	}
	if change, err = d.Find(j); err != nil || change.Entry().Owner.Process != self(t).Process || change.Settled() {
		t.Errorf("the half-destroyed device belongs to %v (%v), want this process, to be undone when it dies", change.Entry().Owner, err)
	}
	open.Close()
	destroy(t, d, j)
}

// TestMounted meets a file system on a plain device of ours.
func TestMounted(t *testing.T) {
	if _, err := exec.LookPath("mkfs.ext2"); err != nil {
		t.Skip("skipped: needs mkfs.ext2")
	}
	c, j := real(t)
	owner, script := sleeper(t)
	d := create(t, c, j, owner, Plan{SizeBytes: 4 << 20})
	command(t, "mkfs.ext2", "-q", d.Node())
	where := t.TempDir()
	command(t, "mount", d.Node(), where)
	unmount := func() {
		if where != "" {
			command(t, "umount", where)
		}
		where = ""
	}
	t.Cleanup(unmount)
	end(script)
	r, err := restore(t, c, j)
	if code(err) != exit.Refused || !strings.Contains(err.Error(), "it is mounted on "+where) || len(r.Outcomes) != 1 {
		t.Errorf("Restore = %+v, %v, want code %d naming %s", r, err, exit.Refused, where)
	}
	if err := os.WriteFile(filepath.Join(where, "x"), []byte("y"), 0o600); err != nil {
		t.Errorf("the file system is not as before: %v", err)
	}
	wantStanding(t, j, 1)
	unmount()
	if _, err := restore(t, c, j); err != nil {
		t.Errorf("Restore after umount: %v", err)
	}
	wantStanding(t, j, 0)
}

// TestSwappedByUser meets a plain device of ours that its user has swapped on himself: nobody takes it from him.
func TestSwappedByUser(t *testing.T) {
	for _, headed := range []bool{false, true} {
		t.Run(fmt.Sprintf("headed=%t", headed), func(t *testing.T) {
			c, j := real(t)
			owner, script := sleeper(t)
			d := create(t, c, j, owner, Plan{SizeBytes: 1 << 20, Swap: headed, Priority: 4})
			if headed {
				command(t, "swapoff", d.Node())
			}
			command(t, "mkswap", d.Node())
			command(t, "swapon", d.Node())
			t.Cleanup(func() { exec.Command("swapoff", d.Node()).Run() })
			change, err := d.Find(j) // still ours
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Destroy(t.Context(), change); code(err) != exit.Refused || !strings.Contains(err.Error(), "memline did not do that") {
				t.Errorf("Destroy = %v, want code %d", err, exit.Refused)
			}
			end(script)
			if _, err := restore(t, c, j); code(err) != exit.Refused {
				t.Errorf("Restore = %v, want code %d", err, exit.Refused)
			}
			if on, _, _ := d.swapUse(); !on {
				t.Error("the user's swap was taken away")
			}
			wantStanding(t, j, 1)
			command(t, "swapoff", d.Node())
			if _, err := restore(t, c, j); err != nil {
				t.Errorf("Restore after swapoff: %v", err)
			}
			wantStanding(t, j, 0)
		})
	}
}

// TestSwapoffInterrupted stops a swapoff in the middle, and finishes it later: no process loses a page. The kernel can only
// be stopped between two processes, so there are several.
func TestSwapoffInterrupted(t *testing.T) {
	c, j := real(t)
	d := create(t, c, j, undo.Persistent(), Plan{SizeBytes: 2 * holders * heldBytes, Swap: true, Priority: MaxPriority})
	var wait []func()
	for range holders {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "ZRAM_TEST_ROLE=pages")
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { end(cmd) })
		if _, err := out.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		wait = append(wait, func() {
			in.Close()
			if err := cmd.Wait(); err != nil {
				t.Errorf("a process whose pages went out and back in: %v", err)
			}
		})
	}
	if _, used, _ := d.swapUse(); used < holders*heldBytes/2 {
		t.Skipf("skipped: only %d bytes were swapped out", used)
	}
	stopped, cancel := context.WithCancelCause(t.Context())
	told := errors.New("told to stop")
	time.AfterFunc(3*time.Millisecond, func() { cancel(told) })
	err := d.swapoff(stopped)
	on, used, _ := d.swapUse()
	if err != nil && !errors.Is(err, told) || on != (err != nil) {
		t.Errorf("swapoff that is stopped = %v, swapped on = %t, want %v", err, on, told)
	}
	t.Logf("%v; %d bytes are still out", err, used)
	if err := d.swapoff(stopped); on && !errors.Is(err, told) {
		t.Errorf("swapoff that is stopped before it begins = %v, want %v", err, told)
	}
	destroy(t, d, j)
	for _, wait := range wait {
		wait()
	}
}

const (
	holders   = 8
	heldBytes = 8 << 20
)

// holdPages swaps its own memory out, and looks at the end whether all of it is there.
func holdPages() int {
	pages, err := unix.Mmap(-1, 0, heldBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return complain(err)
	}
	seed := [32]byte{byte(os.Getpid()), byte(os.Getpid() >> 8)}
	rand.NewChaCha8(seed).Read(pages)
	if err := unix.Madvise(pages, unix.MADV_PAGEOUT); err != nil {
		return complain(err)
	}
	fmt.Println("out")
	os.Stdin.Read(make([]byte, 1))
	want := make([]byte, heldBytes)
	rand.NewChaCha8(seed).Read(want)
	if !bytes.Equal(pages, want) {
		return complain(errors.New("the pages have come back changed"))
	}
	return 0
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

func numbers(t *testing.T, c Control) (numbers []int) {
	t.Helper()
	devices, err := c.Devices()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range devices {
		numbers = append(numbers, d.Number)
	}
	return numbers
}

// TestDeathAroundHotAdd kills a process right before and right after the read that makes a device, with somebody else
// adding devices at the same time.
func TestDeathAroundHotAdd(t *testing.T) {
	dying := func(t *testing.T, role string) {
		t.Helper()
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "ZRAM_TEST_ROLE="+role)
		cmd.Stderr = os.Stderr
		if cmd.Run(); cmd.ProcessState.Success() || cmd.ProcessState.ExitCode() != -1 {
			t.Fatalf("the process did not die: %v", cmd.ProcessState)
		}
	}
	untouched := func(t *testing.T, devices ...Device) {
		t.Helper()
		for _, d := range devices {
			if there, err := d.exists(); !there || err != nil {
				t.Errorf("the foreign %s is gone (%v)", d.Name(), err)
			}
		}
	}
	t.Run("before", func(t *testing.T) {
		c, j := real(t)
		dying(t, "before")
		taken := foreign(t, 1<<20) // gets the number that ours would have had
		if _, err := restore(t, c, j); err != nil {
			t.Error(err)
		}
		untouched(t, taken)
		wantStanding(t, j, 0)
	})
	t.Run("after", func(t *testing.T) {
		c, j := real(t)
		before := numbers(t, c)
		dying(t, "after")
		later := foreign(t, 0)
		another := foreign(t, 1<<20)
		if _, err := restore(t, c, j); err != nil {
			t.Error(err)
		}
		untouched(t, later, another)
		wantStanding(t, j, 0)
		if diff := cmp.Diff(append(before, later.Number, another.Number), numbers(t, c)); diff != "" {
			t.Errorf("devices: -want +got\n%s", diff)
		}
	})
	t.Run("taken over", func(t *testing.T) { // what is ours, but set up by somebody who looked for a free device, is his
		c, j := real(t)
		before := numbers(t, c)
		dying(t, "after")
		d := c.Device(numbers(t, c)[len(before)])
		if err := writeFile(d.attr("disksize"), "1048576"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { writeFile(d.root.Path(hotRemove), strconv.Itoa(d.Number)) })
		if _, err := restore(t, c, j); err != nil {
			t.Error(err)
		}
		untouched(t, d)
		wantStanding(t, j, 0)
	})
	t.Run("taken over while restore waits for it", func(t *testing.T) {
		c, j := real(t)
		c.patience = time.Minute
		before := numbers(t, c)
		dying(t, "after")
		d := c.Device(numbers(t, c)[len(before)])
		open, err := os.Open(d.Node())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { writeFile(d.root.Path(hotRemove), strconv.Itoa(d.Number)) })
		time.AfterFunc(100*time.Millisecond, func() {
			if err := writeFile(d.attr("disksize"), "1048576"); err != nil {
				t.Error(err)
			}
			open.Close()
		})
		if _, err := restore(t, c, j); err != nil {
			t.Error(err)
		}
		untouched(t, d)
		wantStanding(t, j, 0)
	})
	t.Run("opened", func(t *testing.T) { // nobody takes it from under a process; the entry stays for the next restore
		c, j := real(t)
		before := numbers(t, c)
		dying(t, "after")
		d := c.Device(numbers(t, c)[len(before)])
		open, err := os.Open(d.Node())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := restore(t, c, j); code(err) != exit.Refused {
			t.Errorf("Restore beside an opened device = %v, want code %d", err, exit.Refused)
		}
		wantStanding(t, j, 1)
		open.Close()
		if _, err := restore(t, c, j); err != nil {
			t.Error(err)
		}
		wantStanding(t, j, 0)
	})
}

// TestTooManySwaps tells the kernel's full table of swap areas from a missing capability: it says EPERM for both.
func TestTooManySwaps(t *testing.T) {
	c, j := real(t)
	const more = 40 // than MAX_SWAPFILES
	for range more {
		d, err := c.Create(t.Context(), j, undo.Persistent(), Plan{SizeBytes: MinSwapBytes(), Swap: true})
		if err != nil {
			if code(err) != exit.Refused || !strings.Contains(err.Error(), "as many swap areas as it takes") {
				t.Errorf("Create with a full table = %v, want code %d", err, exit.Refused)
			}
			return
		}
		t.Cleanup(func() {
			change, err := d.Find(j)
			if err == nil {
				err = d.Destroy(context.Background(), change)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	t.Errorf("%d swap areas fit", more)
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
