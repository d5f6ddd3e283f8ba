// SPDX-License-Identifier: Apache-2.0

package undo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"memline/internal/kernel"
)

// KindHolder is a process that holds test memory: restore kills it when its owner is dead, since swapoff would otherwise
// fault all of it back in.
const KindHolder = "holder"

// Hold registers the calling process as a holder of test memory on behalf of the owner.
func (j *Journal) Hold(owner Owner) (*Change, error) {
	self, err := j.root.Process(os.Getpid())
	if err != nil {
		return nil, err
	}
	c, err := j.Begin(owner, KindHolder, self)
	if err != nil {
		return nil, err
	}
	return c, c.Settle(nil)
}

// ReverseHolder kills the holder and waits until its memory is gone.
func ReverseHolder(root kernel.FS) Reverser {
	return func(ctx context.Context, c *Change) (string, error) {
		var p kernel.Process
		if err := c.Decode(&p); err != nil {
			return "", err
		}
		return fmt.Sprintf("holder of test memory (pid %d)", p.PID), kill(ctx, root, p)
	}
}

// killFor is how long a process may take to end after SIGKILL: giving back many GiB takes seconds.
const killFor = 30 * time.Second

// kill ends this very process with SIGKILL and waits until its memory is gone.
func kill(ctx context.Context, root kernel.FS, p kernel.Process) error {
	fd, err := unix.PidfdOpen(p.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("pidfd of %d: %w", p.PID, err)
	}
	defer unix.Close(fd)
	// The descriptor pins whoever has the number now; only proof makes that our holder.
	now, err := root.Process(p.PID)
	switch {
	case errors.Is(err, os.ErrProcessDone), err == nil && now != p:
		return nil
	case err != nil:
		return err
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("killing %d: %w", p.PID, err)
	}
	for deadline := time.Now().Add(killFor); time.Now().Before(deadline); {
		const everyMilliseconds = 100
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if n, err := unix.Poll(fds, everyMilliseconds); err == nil && n > 0 {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return fmt.Errorf("process %d did not end within %s of SIGKILL; it may be stuck in the kernel", p.PID, killFor)
}
