// SPDX-License-Identifier: Apache-2.0

// Package anon maps anonymous memory outside the Go heap, populates and locks it, pages it out, and times single reads of it.
//
// Advice goes to the mapping alone, never to the host's settings. Work goes in chunks, so that a caller can stop between
// two of them; a chunk is one huge page.
package anon

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Chunk is the unit of work in bytes, and the alignment of a region: a transparent huge page on most machines. Chunks of
// 64 to 256 KiB filled at 0.77 to 0.89 of the speed with two workers.
const Chunk = 2 << 20

// THP says which pages may back a region.
type THP string

// The choices of huge pages.
const (
	Never  THP = "never"  // base pages only, also where the host says always
	Always THP = "always" // huge pages wherever the kernel has them, also where the host says madvise
)

// Region is private anonymous memory, aligned to [Chunk].
type Region struct {
	mapping unsafe.Pointer
	mapped  uintptr
	mem     []byte
}

// Map maps bytes of memory, rounded up to whole pages. Nothing is resident yet. It fails where the kernel has no huge
// pages and [Always] is asked for.
func Map(bytes int64, thp THP) (*Region, error) {
	page := int64(os.Getpagesize())
	length := uintptr((bytes + page - 1) / page * page)
	mapped := length + Chunk
	at, err := unix.MmapPtr(-1, 0, nil, mapped, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("mapping %d bytes: %w; ask for less, or see vm.overcommit_memory and ulimit -v", mapped, err)
	}
	r := &Region{mapping: at, mapped: mapped}
	skip := -uintptr(at) & (Chunk - 1)
	r.mem = unsafe.Slice((*byte)(unsafe.Add(at, skip)), length)
	advice := unix.MADV_NOHUGEPAGE
	if thp == Always {
		advice = unix.MADV_HUGEPAGE
	}
	if length == 0 {
		return r, nil
	}
	err = unix.Madvise(r.mem, advice)
	if errors.Is(err, unix.EINVAL) && thp == Never { // a kernel without transparent huge pages
		err = nil
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("advising the mapping that huge pages are for %s: %w", thp, err), r.Unmap())
	}
	return r, nil
}

// Bytes is the memory. It must not be used after Unmap.
func (r *Region) Bytes() []byte { return r.mem }

// Unmap gives the memory back, and its swap slots with it.
func (r *Region) Unmap() error {
	if r.mapped == 0 {
		return nil
	}
	if err := unix.MunmapPtr(r.mapping, r.mapped); err != nil {
		return fmt.Errorf("unmapping %d bytes: %w", r.mapped, err)
	}
	*r = Region{}
	return nil
}

// Populate makes memory resident and writable without a fault for each page in user space. Before Linux 5.14, which has
// no MADV_POPULATE_WRITE, it writes to each page, which must be fresh.
func Populate(mem []byte) error {
	if len(mem) == 0 {
		return nil
	}
	err := retry(func() error { return unix.Madvise(mem, unix.MADV_POPULATE_WRITE) })
	if errors.Is(err, unix.EINVAL) {
		FaultIn(mem)
		return nil
	}
	if err != nil {
		return fmt.Errorf("populating %d bytes: %w", len(mem), err)
	}
	return nil
}

// FaultIn makes fresh memory resident by writing a zero to each page, as a program does that knows nothing of populating.
// Writing first also saves the fault for the shared zero page that a read before the first write costs.
func FaultIn(mem []byte) {
	for at := 0; at < len(mem); at += os.Getpagesize() {
		mem[at] = 0
	}
}

// Lock locks memory in RAM, populating it at once: nothing of it can be swapped out in between. The error wraps the
// kernel's: EPERM or ENOMEM beyond RLIMIT_MEMLOCK, ENOMEM or EAGAIN where memory ran out.
func Lock(mem []byte) error {
	if len(mem) == 0 {
		return nil
	}
	if err := unix.Mlock(mem); err != nil {
		return fmt.Errorf("locking %d bytes: %w", len(mem), err)
	}
	return nil
}

// retry repeats what a signal interrupted or a busy page delayed.
func retry(f func() error) error {
	for {
		err := f()
		if !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN) {
			return err
		}
	}
}
