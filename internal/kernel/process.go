// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Status is what /proc/PID/status says of one process's memory.
type Status struct {
	RSSBytes    int64 // VmRSS
	LockedBytes int64 // VmLck
	SwapBytes   int64 // VmSwap
}

// Status reads /proc/PID/status; pid 0 is the calling process.
func (fs FS) Status(pid int) (Status, error) {
	name := "self"
	if pid != 0 {
		name = strconv.Itoa(pid)
	}
	b, err := os.ReadFile(fs.Path("proc", name, "status"))
	if err != nil {
		return Status{}, err
	}
	var s Status
	resident := false
	for line := range bytes.Lines(b) {
		key, value, _ := bytes.Cut(line, []byte(":"))
		switch string(key) {
		case "VmRSS":
			s.RSSBytes, resident = kilobytes(value), true
		case "VmLck":
			s.LockedBytes = kilobytes(value)
		case "VmSwap":
			s.SwapBytes = kilobytes(value)
		}
	}
	if !resident {
		return Status{}, fmt.Errorf("process %s has no memory of its own: it has ended, or is the kernel's", name)
	}
	return s, nil
}

// kilobytes parses "   1234 kB".
func kilobytes(b []byte) int64 {
	n, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(string(b)), "kB")), 10, 64)
	return n << 10
}

// Process is a process that cannot be confused with a later one of the same number.
type Process struct {
	PID        int    `json:"pid" doc:"process id"`
	StartTicks uint64 `json:"start_ticks" doc:"start time in clock ticks since boot, field 22 of /proc/PID/stat" kernel:"/proc/PID/stat"`
}

// Process names the process that has this pid now.
func (fs FS) Process(pid int) (Process, error) {
	t, err := fs.thread("proc", strconv.Itoa(pid), "stat")
	switch {
	case gone(err) || err == nil && t.ended() && t.threads <= 1:
		return Process{}, fmt.Errorf("process %d: %w", pid, os.ErrProcessDone)
	case err != nil:
		return Process{}, fmt.Errorf("process %d: %w", pid, err)
	}
	return Process{PID: pid, StartTicks: t.startTicks}, nil
}

// Alive reports whether this very process still runs. A zombie does not, nor one that SIGKILL has reached but that has not
// got to its end yet; between taking that signal and saying so (PF_EXITING) it still looks alive for some microseconds.
// What cannot be read counts as alive: only proof of death lets anybody undo what a process owns.
func (fs FS) Alive(p Process) bool {
	leader, err := fs.thread("proc", strconv.Itoa(p.PID), "stat")
	switch {
	case gone(err):
		return false
	case err != nil:
		return true
	case leader.startTicks != p.StartTicks:
		return false
	case !leader.dying():
		return true
	}
	// A process may outlive its first thread.
	paths, _ := filepath.Glob(fs.Path("proc", strconv.Itoa(p.PID), "task/*/stat"))
	return slices.ContainsFunc(paths, func(path string) bool {
		t, err := parseThread(path)
		return err == nil && !t.dying()
	})
}

// Gone reports whether this very process has ended with all its threads, and so has let go of its memory and files.
func (fs FS) Gone(p Process) bool {
	leader, err := fs.thread("proc", strconv.Itoa(p.PID), "stat")
	if err != nil {
		return gone(err)
	}
	return leader.startTicks != p.StartTicks || leader.ended() && leader.threads <= 1
}

// gone tells the errors that prove that there is no such process.
func gone(err error) bool { return errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) }

// thread is what /proc/PID/stat says of a process's first thread, or /proc/PID/task/TID/stat of any.
type thread struct {
	state      string
	flags      uint64 // PF_* of include/linux/sched.h
	threads    int    // of the whole process
	startTicks uint64
	pending    uint64 // signals of its own; the kernel puts SIGKILL there for each thread of a process that it ends
}

func (t thread) ended() bool { return t.state == "Z" || t.state == "X" }

func (t thread) dying() bool {
	const exiting, kill = 0x4, 1 << (uint(unix.SIGKILL) - 1) // PF_EXITING
	return t.ended() || t.flags&exiting != 0 || t.pending&kill != 0
}

func (fs FS) thread(elem ...string) (thread, error) { return parseThread(fs.Path(elem...)) }

func parseThread(path string) (t thread, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return t, err
	}
	// The command name is in parentheses and may hold anything; the fields after its last ")" are fixed (proc(5)).
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(f) < 29 {
		return t, fmt.Errorf("%s: %d fields after the name, want at least 29", path, len(f))
	}
	t.state = f[0]
	var errs [4]error
	t.flags, errs[0] = strconv.ParseUint(f[6], 10, 64)
	t.threads, errs[1] = strconv.Atoi(f[17])
	t.startTicks, errs[2] = strconv.ParseUint(f[19], 10, 64)
	t.pending, errs[3] = strconv.ParseUint(f[28], 10, 64)
	return t, errors.Join(errs[:]...)
}

// HasCapability reports whether the effective set of the calling process holds the capability (unix.CAP_...).
func (fs FS) HasCapability(capability int) bool {
	text, err := os.ReadFile(fs.Path("proc/self/status"))
	if err != nil {
		return false
	}
	for line := range bytes.Lines(text) {
		if hex, ok := bytes.CutPrefix(line, []byte("CapEff:")); ok {
			set, err := strconv.ParseUint(strings.TrimSpace(string(hex)), 16, 64)
			return err == nil && set&(1<<uint(capability)) != 0
		}
	}
	return false
}
