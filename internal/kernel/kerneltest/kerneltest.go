// SPDX-License-Identifier: Apache-2.0

// Package kerneltest says what a test needs of the running kernel: it skips with proof where the host lacks it, and takes
// the host lock, since every test shares one kernel.
package kerneltest

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"memline/internal/undo"
)

// Root skips the test unless it runs as root.
func Root(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("skipped: needs root; this user is " + strconv.Itoa(os.Geteuid()))
	}
}

// Zram skips the test unless zram devices can be made here.
func Zram(t testing.TB) {
	t.Helper()
	Root(t)
	if _, err := os.Stat("/sys/class/zram-control/hot_add"); err != nil {
		t.Skipf("skipped: needs zram: %v", err)
	}
}

// PSI skips the test unless memory pressure-stall information is on.
func PSI(t testing.TB) {
	t.Helper()
	if _, err := os.ReadFile("/proc/pressure/memory"); err != nil {
		t.Skipf("skipped: needs PSI: %v", err)
	}
}

// HostLock holds the host's one lock for the rest of the test and passes it on to the processes that the test starts.
// Tests that touch swap, zram, cgroups or measure take it first.
func HostLock(t testing.TB) {
	t.Helper()
	Root(t)
	dir, err := undo.OpenDir(undo.DefaultDir)
	if err != nil {
		t.Fatal(err)
	}
	lock, err := os.OpenFile(dir.LockPath(), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	lock.Truncate(0)
	lock.WriteAt(fmt.Appendf(nil, "%d the test %s\n", os.Getpid(), t.Name()), 0) // for whoever is refused meanwhile
	t.Cleanup(func() {
		lock.Truncate(0)
		lock.Close()
	})
	inherited, err := unix.Dup(int(lock.Fd())) // without close-on-exec, so that children have it under this number
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(inherited) })
	t.Setenv(undo.LockEnv, strconv.Itoa(inherited))
}
