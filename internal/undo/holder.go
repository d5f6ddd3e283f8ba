// SPDX-License-Identifier: Apache-2.0

package undo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"memline/internal/kernel"
)

// KindHolder is a process that holds test memory: restore kills it when its owner is dead, since swapoff would otherwise
// fault all of it back in.
const KindHolder = "holder"

// EnvOwner is the owner that a script above this process named in MEMLINE_OWNER_PID, or the process itself.
func EnvOwner(root kernel.FS) (Owner, error) {
	text := os.Getenv(OwnerEnv)
	if text == "" {
		return Self(root)
	}
	pid, err := strconv.Atoi(text)
	if err != nil || pid <= 0 {
		return Owner{}, fmt.Errorf("%s=%q is not a process id", OwnerEnv, text)
	}
	return OwnerOf(root, pid)
}

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

// kill ends this very process with SIGKILL and waits for it, at most five seconds.
func kill(ctx context.Context, root kernel.FS, p kernel.Process) error {
	fd, err := unix.PidfdOpen(p.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("pidfd of %d: %w", p.PID, err)
	}
	defer unix.Close(fd)
	if !root.Alive(p) { // the descriptor pins whoever has the number now; it is not our holder
		return nil
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("killing %d: %w", p.PID, err)
	}
	deadline := time.Now().Add(5 * time.Second)
	for time.Now().Before(deadline) && ctx.Err() == nil {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if n, err := unix.Poll(fds, 100); err == nil && n > 0 {
			return nil
		}
	}
	return fmt.Errorf("process %d did not end within 5s of SIGKILL; it may be stuck in the kernel", p.PID)
}
