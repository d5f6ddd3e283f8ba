// SPDX-License-Identifier: Apache-2.0

// Package kernel reads what the kernel says about memory: meminfo, vmstat, swaps, PSI, processes, and the host's facts.
//
// It only reads, and only below the root it is given, so every parser is tested on real kernel text. A counter that
// this kernel does not have is absent from the result, never zero.
package kernel

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/prometheus/procfs"
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

// BootID names this boot of the kernel.
func (fs FS) BootID() (string, error) { return fs.Text("proc/sys/kernel/random/boot_id") }

// PageSize is the kernel's page size in bytes.
func PageSize() int { return os.Getpagesize() }
