// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/google/go-cmp/cmp"
)

func TestAlive(t *testing.T) {
	fs := At("testdata/processes")
	for _, test := range []struct {
		name        string
		pid         int
		ticks       uint64
		alive, gone bool
	}{
		{"sleeping, with parentheses in its name", 10, 5001, true, false},
		{"running, with a newline in its name", 11, 5002, true, false},
		{"another process with the same number", 10, 5000, false, true},
		{"zombie", 12, 5003, false, true},
		{"SIGKILL is on its way", 13, 5004, false, false},
		{"exiting", 14, 5005, false, false},
		{"first thread ended, another runs", 15, 5006, true, false},
		{"first thread ended, the other has SIGKILL on its way", 17, 5008, false, false},
		{"unreadable, so nothing is proved", 19, 1, true, false},
		{"no such process", 99, 1, false, true},
	} {
		p := Process{PID: test.pid, StartTicks: test.ticks}
		if got := fs.Alive(p); got != test.alive {
			t.Errorf("%s: Alive(%+v) = %t, want %t", test.name, p, got, test.alive)
		}
		if got := fs.Gone(p); got != test.gone {
			t.Errorf("%s: Gone(%+v) = %t, want %t", test.name, p, got, test.gone)
		}
	}
}

func TestProcess(t *testing.T) {
	fs := At("testdata/processes")
	got, err := fs.Process(10)
	if want := (Process{PID: 10, StartTicks: 5001}); err != nil || got != want {
		t.Errorf("Process(10) = %+v, %v, want %+v", got, err, want)
	}
	for _, pid := range []int{12, 99} {
		if _, err := fs.Process(pid); !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("Process(%d) = %v, want %v", pid, err, os.ErrProcessDone)
		}
	}
	if _, err := fs.Process(19); err == nil || errors.Is(err, os.ErrProcessDone) {
		t.Errorf("Process(19) of an unreadable stat = %v, want an error that proves no death", err)
	}
}

// TestLiveProcess follows a real process through its end: running, killed but not collected, collected.
func TestLiveProcess(t *testing.T) {
	fs := Root()
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p, err := fs.Process(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if !fs.Alive(p) || fs.Gone(p) {
		t.Errorf("a running process: Alive = %t, Gone = %t, want true, false", fs.Alive(p), fs.Gone(p))
	}
	cmd.Process.Kill() // and left a zombie
	for end := time.Now().Add(10 * time.Second); !fs.Gone(p); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a zombie is not Gone")
		}
	}
	if fs.Alive(p) {
		t.Error("Alive of a zombie = true, want false")
	}
	cmd.Wait()
	if fs.Alive(p) || !fs.Gone(p) {
		t.Errorf("a collected process: Alive = %t, Gone = %t, want false, true", fs.Alive(p), fs.Gone(p))
	}
}

// TestAliveFrozen holds a process between SIGKILL and its end, as one stuck in the kernel would be.
func TestAliveFrozen(t *testing.T) {
	group, err := os.MkdirTemp("/sys/fs/cgroup/freezer", "frozen-test-")
	if err != nil {
		t.Skipf("skipped: needs root and the cgroup v1 freezer: %v", err)
	}
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	write := func(file, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(group, file), []byte(text), 0); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(func() {
		write("freezer.state", "THAWED")
		cmd.Wait()
		if err := os.Remove(group); err != nil {
			t.Error(err)
		}
	})
	fs := Root()
	p, err := fs.Process(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	write("cgroup.procs", strconv.Itoa(p.PID))
	write("freezer.state", "FROZEN")
	if !fs.Alive(p) {
		t.Error("Alive of a frozen process = false, want true")
	}
	cmd.Process.Kill()
	if fs.Alive(p) || fs.Gone(p) {
		t.Errorf("frozen with SIGKILL on its way: Alive = %t, Gone = %t, want false, false", fs.Alive(p), fs.Gone(p))
	}
}

func TestStatus(t *testing.T) {
	got, err := At("testdata/linux-6.18").Status(0)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Status{RSSBytes: 1740 << 10}, got); diff != "" {
		t.Errorf("Status: -want +got\n%s", diff)
	}
	if _, err := At("testdata/processes").Status(20); err == nil {
		t.Error("Status of a kernel thread: no error, want one: it has no memory")
	}
	mine, err := Root().Status(os.Getpid())
	if err != nil || mine.RSSBytes <= 0 {
		t.Errorf("Status of this process = %+v, %v", mine, err)
	}
}

func TestHasCapability(t *testing.T) {
	fs := At("testdata/linux-6.18")
	if !fs.HasCapability(unix.CAP_SYS_ADMIN) {
		t.Error("HasCapability(CAP_SYS_ADMIN) = false, want true")
	}
	if fs.HasCapability(unix.CAP_SYS_RESOURCE) {
		t.Error("HasCapability(CAP_SYS_RESOURCE) = true, want false: this machine lacks it")
	}
	if At("testdata/processes").HasCapability(unix.CAP_SYS_ADMIN) {
		t.Error("HasCapability without /proc/self = true, want false")
	}
}

func FuzzStat(f *testing.F) {
	for _, pid := range []string{"10", "11", "12", "19"} {
		b, err := os.ReadFile("testdata/processes/proc/" + pid + "/stat")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		root := t.TempDir()
		writeFile(t, filepath.Join(root, "proc/7/stat"), text)
		fs := At(root)
		p, err := fs.Process(7)
		if err == nil && p.PID != 7 {
			t.Errorf("Process(7).PID = %d", p.PID)
		}
		if err == nil && fs.Gone(p) {
			t.Errorf("Gone(%+v) = true for a process that is there", p)
		}
	})
}

func FuzzStatus(f *testing.F) {
	b, err := os.ReadFile("testdata/linux-6.18/proc/self/status")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("VmRSS:\t  99999999999999999999 kB\nCapEff: zz"))
	f.Fuzz(func(t *testing.T, text []byte) {
		root := t.TempDir()
		writeFile(t, filepath.Join(root, "proc/self/status"), text)
		At(root).Status(0)
		At(root).HasCapability(unix.CAP_SYS_ADMIN)
	})
}

func writeFile(t testing.TB, path string, text []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
}
