// SPDX-License-Identifier: Apache-2.0

package undo

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"memline/internal/exit"
	"memline/internal/kernel"
	"memline/internal/undo/undotest"
)

func writeTo(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// sysctlRoot is a kernel with two sysctls and a boot id.
func sysctlRoot(t testing.TB, swappiness string) kernel.FS {
	t.Helper()
	root := kernel.At(t.TempDir())
	writeTo(t, root.Path("proc/sys/vm/swappiness"), swappiness+"\n")
	writeTo(t, root.Path("proc/sys/vm/page-cluster"), "3\n")
	writeTo(t, root.Path("proc/swaps"), "Filename Type Size Used Priority\n")
	boot, err := kernel.Root().BootID()
	if err != nil {
		t.Fatal(err)
	}
	writeTo(t, root.Path("proc/sys/kernel/random/boot_id"), boot)
	return root
}

// linkProc makes a real process known below the root.
func linkProc(t testing.TB, root kernel.FS, pid int) {
	t.Helper()
	if err := os.Symlink("/proc/"+strconv.Itoa(pid), root.Path("proc", strconv.Itoa(pid))); err != nil {
		t.Fatal(err)
	}
}

func TestSameValue(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{"3", "3", true}, {"3", "03", true}, {"0x10", "16", true}, {"3", "4", false}, {"Y", "1", true}, {"N", "0", true},
		{"on", "Y", true}, {"Y", "N", false}, {"1", "2", false}, {"lz4", "lzo", false}, {"lz4", "lz4", true}, {"", "0", false},
	} {
		if got := sameValue(test.a, test.b); got != test.want {
			t.Errorf("sameValue(%q, %q) = %t, want %t", test.a, test.b, got, test.want)
		}
	}
}

func TestSetValue(t *testing.T) {
	j := openTest(t)
	root := sysctlRoot(t, "60")
	j.root = root
	linkProc(t, root, os.Getpid())
	const path = "proc/sys/vm/swappiness"
	is := func(want string) {
		t.Helper()
		if got, err := root.Text(path); err != nil || got != want {
			t.Errorf("%s = %q, %v, want %q", path, got, err, want)
		}
	}
	c, err := j.SetValue(self(t), path, "100")
	if err != nil {
		t.Fatal(err)
	}
	is("100")
	reverse := ReverseValue(root)
	if target, err := reverse(t.Context(), c); err != nil || target != path {
		t.Errorf("ReverseValue = %q, %v", target, err)
	}
	is("60")
	writeTo(t, root.Path(path), "42\n") // changed by somebody else since
	if target, err := reverse(t.Context(), c); err != nil || target == path {
		t.Errorf("ReverseValue of a value that somebody else has changed = %q, %v, want a target that says so", target, err)
	}
	is("42")
	if _, err := j.SetValue(self(t), "proc/sys/vm/missing", "1"); err == nil {
		t.Error("SetValue of a missing setting: no error")
	}
	for _, path := range []string{"/etc/passwd", "etc/passwd", "../etc/passwd", "sys/../etc/passwd", "proc/sys/../../etc/passwd", "proc/1/oom_score_adj", ""} {
		writeTo(t, root.Path("etc/passwd"), "root\n")
		if _, err := j.SetValue(self(t), path, "x"); err == nil || !strings.Contains(err.Error(), "not a setting") {
			t.Errorf("SetValue of %q = %v, want it refused", path, err)
		}
	}
	// A choice reads as all there is, and takes one.
	const thp = "sys/kernel/mm/transparent_hugepage/enabled"
	writeTo(t, root.Path(thp), "always [madvise] never\n")
	if got, err := readValue(root, thp); err != nil || got != "madvise" {
		t.Errorf("readValue of a choice = %q, %v, want madvise", got, err)
	}
}

// TestSetValueFails leaves the setting and the journal as they were when the change cannot be made or handed over.
func TestSetValueFails(t *testing.T) {
	j := openTest(t)
	root := sysctlRoot(t, "60")
	j.root = root
	linkProc(t, root, os.Getpid())
	const path = "proc/sys/vm/swappiness"
	gone := self(t)
	gone.StartTicks--
	if _, err := j.SetValue(gone, path, "100"); code(err) != exit.Refused {
		t.Errorf("SetValue for a dead owner = %v, want code %d", err, exit.Refused)
	}
	if got, _ := root.Text(path); got != "60" {
		t.Errorf("%s = %s after a refusal, want 60", path, got)
	}
	wantLive(t, j)
}

// pageCluster is a real sysctl that makes no difference here: nothing swaps to a disk.
const pageCluster = "proc/sys/vm/page-cluster"

// keepSysctl puts the real sysctl back after the test, whatever went wrong.
func keepSysctl(t *testing.T) (was, other string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("skipped: needs root to set a sysctl")
	}
	was, err := kernel.Root().Text(pageCluster)
	if err != nil {
		t.Skipf("skipped: %v", err)
	}
	t.Cleanup(func() {
		if now, _ := kernel.Root().Text(pageCluster); now != was {
			t.Errorf("%s is %s, was %s", pageCluster, now, was)
			writeValue(kernel.Root(), pageCluster, was)
		}
	})
	if other = "1"; was == other {
		other = "2"
	}
	return was, other
}

// TestRealSysctl sets a real sysctl for a process that is killed, and restores it; a value that somebody else has put
// there meanwhile stays.
func TestRealSysctl(t *testing.T) {
	hostLock(t)
	j := openTest(t)
	was, other := keepSysctl(t)
	setter := start(t, "value", pageCluster, other)
	setter.says(t, "set")
	if now, _ := kernel.Root().Text(pageCluster); now != other {
		t.Fatalf("%s = %s, want %s", pageCluster, now, other)
	}
	setter.kill()
	r := restoreNow(t, j)
	if now, _ := kernel.Root().Text(pageCluster); now != was {
		t.Errorf("%s = %s after restore, want %s", pageCluster, now, was)
	}
	if len(r.Differences) != 0 {
		t.Errorf("Differences = %+v, want none", r.Differences)
	}

	setter = start(t, "value", pageCluster, other)
	setter.says(t, "set")
	if err := writeValue(kernel.Root(), pageCluster, "5"); err != nil {
		t.Fatal(err)
	}
	setter.kill()
	restoreNow(t, j)
	if now, _ := kernel.Root().Text(pageCluster); now != "5" {
		t.Errorf("%s = %s, want 5: somebody else has set it since", pageCluster, now)
	}
	if err := writeValue(kernel.Root(), pageCluster, was); err != nil {
		t.Fatal(err)
	}
}

// TestKillValue kills a process before each of its calls while it sets a real sysctl and puts it back.
func TestKillValue(t *testing.T) {
	hostLock(t)
	j := openTest(t)
	was, other := keepSysctl(t)
	undotest.KillBeforeEach(t, 5, func() *exec.Cmd {
		cmd := exec.Command(os.Args[0], pageCluster, other)
		cmd.Env = append(os.Environ(), "UNDO_TEST_ROLE=value-once")
		return cmd
	}, func(where string) {
		restoreNow(t, j)
		if now, _ := kernel.Root().Text(pageCluster); now != was {
			t.Errorf("killed before %s: %s = %s after restore, want %s", where, pageCluster, now, was)
		}
		wantClean(t, j, t.TempDir())
	})
}

// hostLock holds the host's lock for the rest of the test. It is kerneltest.HostLock, which builds on this package.
func hostLock(t *testing.T) {
	t.Helper()
	dir, err := OpenDir(DefaultDir)
	if err != nil {
		t.Skipf("skipped: %v", err)
	}
	lock, err := dir.LockHost(t.Context(), 10*60e9)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(lock.Release)
}
