// SPDX-License-Identifier: Apache-2.0

// Package kernel reads what the kernel says about memory: meminfo, vmstat, swaps, PSI, processes, and the host's facts.
//
// It only reads, and only below the root it is given, so every parser is tested on real kernel text. A counter that
// this kernel does not have is absent from the result, never zero.
package kernel

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// FS is a file-system root with /proc and /sys below it.
type FS struct{ root string }

// Root is the running kernel's own file system.
func Root() FS { return FS{"/"} }

// At returns the kernel text below another root, such as a fixture.
func At(root string) FS { return FS{root} }

// Path returns the path of a kernel file given from the root, such as "proc/meminfo".
func (fs FS) Path(elem ...string) string {
	return filepath.Join(append([]string{fs.root}, elem...)...)
}

// Text reads a small kernel file as trimmed text.
func (fs FS) Text(elem ...string) (string, error) {
	b, err := os.ReadFile(fs.Path(elem...))
	return strings.TrimSpace(string(b)), err
}

func (fs FS) proc() (procfs.FS, error) { return procfs.NewFS(fs.Path("proc")) }

// Swap is one line of /proc/swaps. Used counts swap slots, not the memory that a zram device takes for them.
type Swap struct {
	Device    string `json:"device" doc:"device or file"`
	SizeBytes int64  `json:"size_bytes" doc:"size of the swap area"`
	UsedBytes int64  `json:"used_bytes" doc:"slots in use, in bytes"`
	Priority  int    `json:"priority" doc:"higher is used first"`
}

// Swaps lists the active swap areas.
func (fs FS) Swaps() ([]Swap, error) {
	proc, err := fs.proc()
	if err != nil {
		return nil, err
	}
	lines, err := proc.Swaps()
	if err != nil {
		return nil, err
	}
	swaps := make([]Swap, 0, len(lines))
	for _, l := range lines {
		swaps = append(swaps, Swap{
			Device: unescape(l.Filename), SizeBytes: int64(l.Size) << 10, UsedBytes: int64(l.Used) << 10, Priority: l.Priority})
	}
	return swaps, nil
}

// unescape undoes the octal escapes (\040 for a space) that the kernel's seq_path writes.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if v, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(v))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// Stall is the total time of /proc/pressure/memory, in microseconds since boot.
type Stall struct{ SomeUsec, FullUsec uint64 }

// MemoryStall reads the memory PSI totals; ok is false where PSI is compiled out or off (psi=1 turns it on).
func (fs FS) MemoryStall() (stall Stall, ok bool) {
	proc, err := fs.proc()
	if err != nil {
		return Stall{}, false
	}
	psi, err := proc.PSIStatsForResource("memory")
	if err != nil || psi.Some == nil || psi.Full == nil {
		return Stall{}, false
	}
	return Stall{SomeUsec: psi.Some.Total, FullUsec: psi.Full.Total}, true
}

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
	for line := range bytes.Lines(b) {
		key, value, _ := bytes.Cut(line, []byte(":"))
		switch string(key) {
		case "VmRSS":
			s.RSSBytes = kilobytes(value)
		case "VmLck":
			s.LockedBytes = kilobytes(value)
		case "VmSwap":
			s.SwapBytes = kilobytes(value)
		}
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
	state, ticks, err := fs.stat(pid)
	if err != nil {
		return Process{}, fmt.Errorf("process %d: %w", pid, err)
	}
	if state == "Z" || state == "X" {
		return Process{}, fmt.Errorf("process %d: %w", pid, os.ErrProcessDone)
	}
	return Process{PID: pid, StartTicks: ticks}, nil
}

// Alive reports whether this very process still runs; a zombie does not.
func (fs FS) Alive(p Process) bool {
	state, ticks, err := fs.stat(p.PID)
	return err == nil && ticks == p.StartTicks && state != "Z" && state != "X"
}

func (fs FS) stat(pid int) (state string, ticks uint64, err error) {
	b, err := os.ReadFile(fs.Path("proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return "", 0, err
	}
	// The command name is in parentheses and may hold anything; the fields after its last ")" are fixed.
	rest := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(rest) < 20 {
		return "", 0, fmt.Errorf("stat: %d fields after the name, want at least 20", len(rest))
	}
	ticks, err = strconv.ParseUint(rest[19], 10, 64)
	return rest[0], ticks, err
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

// BootID names this boot of the kernel.
func (fs FS) BootID() (string, error) { return fs.Text("proc/sys/kernel/random/boot_id") }

// PageSize is the kernel's page size in bytes.
func PageSize() int { return os.Getpagesize() }

// File is a kernel text file that is read in a loop: opened once, read with pread into one buffer, no allocation.
type File struct {
	fd  int
	buf []byte
}

// OpenFile opens a kernel file given from the root for reading in a loop.
func (fs FS) OpenFile(elem ...string) (*File, error) {
	path := fs.Path(elem...)
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return &File{fd: fd, buf: make([]byte, 16<<10)}, nil
}

// Read returns the file's text now; it is valid until the next Read.
func (f *File) Read() ([]byte, error) {
	n := 0
	for {
		m, err := unix.Pread(f.fd, f.buf[n:], int64(n))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if m == 0 {
			if n == 0 {
				return nil, io.ErrUnexpectedEOF
			}
			return f.buf[:n], nil
		}
		if n += m; n == len(f.buf) {
			f.buf = append(f.buf, make([]byte, len(f.buf))...)
		}
	}
}

// Close closes the file.
func (f *File) Close() error { return unix.Close(f.fd) }
