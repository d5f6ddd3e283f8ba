// SPDX-License-Identifier: Apache-2.0

package zram

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"memline/internal/exit"
	"memline/internal/undo"
)

// TestSwapoffInterrupted stops a swapoff in the middle, and finishes it later: no process loses a page. The kernel can only
// be stopped between two processes, so there are several.
func TestSwapoffInterrupted(t *testing.T) {
	c, j := real(t)
	d := create(t, c, j, undo.Persistent(), Plan{SizeBytes: 2 * holders * heldBytes, Swap: true, Priority: MaxPriority})
	var wait []func()
	for range holders {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "ZRAM_TEST_ROLE=pages")
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { end(cmd) })
		if _, err := out.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		wait = append(wait, func() {
			in.Close()
			if err := cmd.Wait(); err != nil {
				t.Errorf("a process whose pages went out and back in: %v", err)
			}
		})
	}
	if _, used, _ := d.swapUse(); used < holders*heldBytes/2 {
		t.Skipf("skipped: only %d bytes were swapped out", used)
	}
	stopped, cancel := context.WithCancelCause(t.Context())
	told := errors.New("told to stop")
	time.AfterFunc(3*time.Millisecond, func() { cancel(told) })
	err := d.swapoff(stopped)
	on, used, _ := d.swapUse()
	if err != nil && !errors.Is(err, told) || on != (err != nil) {
		t.Errorf("swapoff that is stopped = %v, swapped on = %t, want %v", err, on, told)
	}
	t.Logf("%v; %d bytes are still out", err, used)
	if err := d.swapoff(stopped); on && !errors.Is(err, told) {
		t.Errorf("swapoff that is stopped before it begins = %v, want %v", err, told)
	}
	destroy(t, d, j)
	for _, wait := range wait {
		wait()
	}
}

const (
	holders   = 8
	heldBytes = 8 << 20
)

// holdPages swaps its own memory out, and looks at the end whether all of it is there.
func holdPages() int {
	pages, err := unix.Mmap(-1, 0, heldBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return complain(err)
	}
	seed := [32]byte{byte(os.Getpid()), byte(os.Getpid() >> 8)}
	rand.NewChaCha8(seed).Read(pages)
	if err := unix.Madvise(pages, unix.MADV_PAGEOUT); err != nil {
		return complain(err)
	}
	fmt.Println("out")
	os.Stdin.Read(make([]byte, 1))
	want := make([]byte, heldBytes)
	rand.NewChaCha8(seed).Read(want)
	if !bytes.Equal(pages, want) {
		return complain(errors.New("the pages have come back changed"))
	}
	return 0
}

// TestTooManySwaps tells the kernel's full table of swap areas from a missing capability: it says EPERM for both.
func TestTooManySwaps(t *testing.T) {
	c, j := real(t)
	const more = 40 // than MAX_SWAPFILES
	for range more {
		d, err := c.Create(t.Context(), j, undo.Persistent(), Plan{SizeBytes: MinSwapBytes(), Swap: true})
		if err != nil {
			if code(err) != exit.Refused || !strings.Contains(err.Error(), "as many swap areas as it takes") {
				t.Errorf("Create with a full table = %v, want code %d", err, exit.Refused)
			}
			return
		}
		t.Cleanup(func() {
			change, err := d.Find(j)
			if err == nil {
				err = d.Destroy(context.Background(), change)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	t.Errorf("%d swap areas fit", more)
}
