// SPDX-License-Identifier: Apache-2.0

package zram

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"memline/internal/exit"
	"memline/internal/kernel"
	"memline/internal/undo"
)

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
