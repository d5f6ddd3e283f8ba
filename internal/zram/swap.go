// SPDX-License-Identifier: Apache-2.0

package zram

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"memline/internal/exit"
	"memline/internal/kernel"
)

// swapFlagPrefer and swapPriorityMask are SWAP_FLAG_PREFER and SWAP_FLAG_PRIO_MASK of include/linux/swap.h.
const (
	swapFlagPrefer   = 0x8000
	swapPriorityMask = 0x7fff
	// MaxPriority is the highest swap priority there is.
	MaxPriority = swapPriorityMask
	// swapoffDeadline and swapoffBytesPerSecond bound one swapoff; 256 MiB in use took 325 ms beside a process that was
	// just dying, about 800 MiB/s.
	swapoffDeadline       = 60 * time.Second
	swapoffBytesPerSecond = 64 << 20
	// swapoffReserveBytes must stay available besides the pages that swapoff brings back.
	swapoffReserveBytes = 128 << 20
)

func (d Device) swapon(ctx context.Context, priority int) error {
	path, err := unix.BytePtrFromString(d.Node())
	if err != nil {
		return err
	}
	flags := uintptr(swapFlagPrefer | priority&swapPriorityMask)
	err = d.retry(ctx, transient, func() error {
		if _, _, errno := unix.Syscall(unix.SYS_SWAPON, uintptr(unsafe.Pointer(path)), flags, 0); errno != 0 {
			return fmt.Errorf("swapon %s: %w", d.Node(), errno)
		}
		return nil
	})
	// The kernel says EPERM for two things: no capability, and no room in its table of swap areas (MAX_SWAPFILES).
	if errors.Is(err, unix.EPERM) && d.root.HasCapability(unix.CAP_SYS_ADMIN) {
		return exit.New(exit.Refused, "too_many_swaps", "%w: the kernel has as many swap areas as it takes; swapoff one and try again", err)
	}
	return err
}

// swapUse reports whether the device is swapped on, and how many bytes of slots are used.
func (d Device) swapUse() (on bool, usedBytes int64, err error) {
	swap, err := d.swapArea()
	if err != nil || swap == nil {
		return false, 0, err
	}
	return true, swap.UsedBytes, nil
}

// swapArea is the device's line in the list of swap areas; nil while it is not swapped on.
func (d Device) swapArea() (*kernel.Swap, error) {
	swaps, err := d.root.Swaps()
	if err != nil {
		return nil, err
	}
	for _, s := range swaps {
		// The kernel marks a node that was removed, and maybe made anew, since.
		if strings.TrimSuffix(s.Device, " (deleted)") == "/dev/"+d.Name() {
			return &s, nil
		}
	}
	return nil, nil
}

// swapoff takes the device out of swap. It refuses when memory could not take the pages back, and interrupts itself at
// the deadline. The kernel looks for signals between the memory of one process and that of the next (try_to_unuse of
// mm/swapfile.c), so the pages of one process always come back together.
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
	limit := swapoffDeadline + time.Duration(used/swapoffBytesPerSecond)*time.Second
	ctx, cancel := context.WithTimeoutCause(ctx, limit, exit.New(exit.Refused, "swapoff_timeout",
		"it took longer than %s; the pages left are still in use: run zramctl restore again", limit))
	defer cancel()
	for {
		err := d.retry(ctx, transient, func() error { return d.swapoffOnce(ctx) })
		if on, _, useErr := d.swapUse(); useErr == nil && !on {
			return nil // also when another swapoff, cut short by its process's death, had got there first
		}
		switch {
		case errors.Is(err, unix.ENOMEM):
			return exit.New(exit.Refused, "swapoff_memory", "%w: no room to take its pages back; end the processes that own them and try again", err)
		case !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EINVAL) || ctx.Err() != nil:
			return err
		}
		time.Sleep(retryEvery) // a stray signal, or another swapoff under way, which the kernel calls EINVAL
	}
}

// swapoffOnce makes the system call on a thread of its own, which a signal interrupts when the context ends.
func (d Device) swapoffOnce(ctx context.Context) error {
	if ctx.Err() != nil {
		return fmt.Errorf("swapoff %s: %w", d.Node(), context.Cause(ctx))
	}
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
				return fmt.Errorf("swapoff %s: %w", d.Node(), context.Cause(ctx))
			}
			return err
		case <-time.After(10 * time.Millisecond):
		}
	}
}
