// SPDX-License-Identifier: Apache-2.0

package anon

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Pageout asks the kernel to reclaim memory now. It returns when the kernel has tried: pages that were busy stay, which
// [Resident] tells.
func Pageout(mem []byte) error {
	if len(mem) == 0 {
		return nil
	}
	if err := retry(func() error { return unix.Madvise(mem, unix.MADV_PAGEOUT) }); err != nil {
		return fmt.Errorf("paging %d bytes out: %w; MADV_PAGEOUT needs Linux 5.4", len(mem), err)
	}
	return nil
}

// Resident counts the pages of mem that are in memory, the swap cache among them. Seen is a buffer of at least one byte a
// page that mincore(2) fills.
func Resident(mem, seen []byte) (pages int64, err error) {
	if len(mem) == 0 {
		return 0, nil
	}
	n := (len(mem) + os.Getpagesize() - 1) / os.Getpagesize()
	err = retry(func() error {
		_, _, errno := unix.Syscall(unix.SYS_MINCORE,
			uintptr(unsafe.Pointer(unsafe.SliceData(mem))), uintptr(len(mem)), uintptr(unsafe.Pointer(unsafe.SliceData(seen[:n]))))
		if errno != 0 {
			return errno
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("asking mincore(2) about %d bytes: %w", len(mem), err)
	}
	for _, s := range seen[:n] {
		pages += int64(s & 1)
	}
	return pages, nil
}
