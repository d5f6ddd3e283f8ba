// SPDX-License-Identifier: Apache-2.0

package zram

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"memline/internal/exit"
	"memline/internal/undo"
)

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
