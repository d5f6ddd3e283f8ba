// SPDX-License-Identifier: Apache-2.0

package zram

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"memline/internal/exit"
)

// swapFlagPrefer and swapPriorityMask are SWAP_FLAG_PREFER and SWAP_FLAG_PRIO_MASK of include/linux/swap.h.
const (
	swapFlagPrefer   = 0x8000
	swapPriorityMask = 0x7fff
	// MaxPriority is the highest swap priority there is.
	MaxPriority = swapPriorityMask
	// swapoffDeadline bounds one swapoff; 256 MiB in use took 325 ms beside a process that was just dying.
	swapoffDeadline = 60 * time.Second
	// swapoffReserveBytes must stay available besides the pages that swapoff brings back.
	swapoffReserveBytes = 128 << 20
)

func (d Device) swapon(priority int) error {
	path, err := unix.BytePtrFromString(d.Node())
	if err != nil {
		return err
	}
	flags := uintptr(swapFlagPrefer | priority&swapPriorityMask)
	return retry(transient, func() error {
		if _, _, errno := unix.Syscall(unix.SYS_SWAPON, uintptr(unsafe.Pointer(path)), flags, 0); errno != 0 {
			return fmt.Errorf("swapon %s: %w", d.Node(), errno)
		}
		return nil
	})
}

// swapUse reports whether the device is swapped on, and how many bytes of slots are used.
func (d Device) swapUse() (on bool, usedBytes int64, err error) {
	swaps, err := d.root.Swaps()
	if err != nil {
		return false, 0, err
	}
	for _, s := range swaps {
		if s.Device == d.Node() {
			return true, s.UsedBytes, nil
		}
	}
	return false, 0, nil
}

// swapoff takes the device out of swap. It refuses when memory could not take the pages back, and interrupts itself at
// the deadline: the kernel checks for signals between pages.
func (d Device) swapoff(ctx context.Context) error {
	on, used, err := d.swapUse()
	if err != nil || !on {
		return err
	}
	mem, err := d.root.Meminfo()
	if err != nil {
		return err
	}
	if used+swapoffReserveBytes > mem.AvailableBytes {
		return exit.New(exit.Refused, "swapoff_memory",
			"%s holds %d bytes of pages, and only %d are available to take them back; end the processes that own them and try again",
			d.Node(), used, mem.AvailableBytes)
	}
	ctx, cancel := context.WithTimeout(ctx, swapoffDeadline)
	defer cancel()
	return retry(func(err error) bool { return transient(err) && ctx.Err() == nil }, func() error { return d.swapoffOnce(ctx) })
}

// swapoffOnce makes the system call on a thread of its own, which a signal interrupts when the context ends.
func (d Device) swapoffOnce(ctx context.Context) error {
	path, err := unix.BytePtrFromString(d.Node())
	if err != nil {
		return err
	}
	thread := make(chan int, 1)
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		thread <- unix.Gettid()
		_, _, errno := unix.Syscall(unix.SYS_SWAPOFF, uintptr(unsafe.Pointer(path)), 0, 0)
		if errno != 0 {
			done <- fmt.Errorf("swapoff %s: %w", d.Node(), errno)
			return
		}
		done <- nil
	}()
	tid := <-thread
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	for {
		// SIGURG is what the Go runtime itself interrupts threads with; its handler does nothing here.
		if err := unix.Tgkill(os.Getpid(), tid, unix.SIGURG); err != nil {
			return err
		}
		select {
		case err := <-done:
			if errors.Is(err, unix.EINTR) {
				return fmt.Errorf("swapoff %s did not finish in time: %w", d.Node(), context.Cause(ctx))
			}
			return err
		case <-time.After(10 * time.Millisecond):
		}
	}
}
