// SPDX-License-Identifier: Apache-2.0

package zram

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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
