// SPDX-License-Identifier: Apache-2.0

// Package undotest kills a process before each of its system calls in turn, which leaves no window between two of them
// unproved.
package undotest

import (
	"os/exec"
	"strconv"
	"syscall"
	"testing"
)

// calls are the system calls that change something, and openat, which separates what a process learns by reading. They are
// told apart since strace counts each by itself.
func calls() []string {
	return []string{"write", "fallocate", "flock", "renameat", "unlinkat", "mkdirat", "rmdir", "fsync", "pwrite64", "swapon", "swapoff", "openat"}
}

// KillBeforeEach runs the command again and again, killing it before its first write, its second, and so on through all
// the calls that change something, and asks check after each run. Start makes the command. Opens are many, so only each
// opens-th is taken.
func KillBeforeEach(t *testing.T, opens int, start func() *exec.Cmd, check func(where string)) {
	t.Helper()
	if raced {
		t.Skip("skipped: a hundred processes with the race detector take minutes; the same test runs without it")
	}
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("skipped: needs strace to stop a process between two system calls")
	}
	kills := 0
	for _, call := range calls() {
		step := 1
		if call == "openat" {
			step = opens
		}
		for n := 1; ; n += step {
			killed := killBefore(t, strace, call, n, start())
			check(call + " " + strconv.Itoa(n))
			if t.Failed() {
				t.Fatalf("killed before %s %d", call, n)
			}
			if !killed {
				break
			}
			kills++
		}
	}
	const atLeast = 10
	if kills < atLeast {
		t.Fatalf("killed only %d times", kills)
	}
	t.Logf("killed %d times", kills)
}

// killBefore runs the command and kills it before its nth call; false says that it made fewer.
func killBefore(t *testing.T, strace, call string, n int, cmd *exec.Cmd) bool {
	t.Helper()
	inject := "inject=" + call + ":signal=KILL:when=" + strconv.Itoa(n)
	cmd.Args = append([]string{"strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=" + call, "-e", inject, cmd.Path}, cmd.Args[1:]...)
	cmd.Path = strace
	out, err := cmd.CombinedOutput()
	if err == nil {
		return false
	}
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Fatalf("%v: %v: %s", cmd.Args, err, out)
	}
	return true
}
