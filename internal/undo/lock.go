// SPDX-License-Identifier: Apache-2.0

package undo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"memline/internal/exit"
)

// LockEnv names the descriptor under which a child inherits the host lock.
const LockEnv = "MEMLINE_LOCK_FD"

// HostLock is the host's one lock: whoever changes swap, zram or zswap, or measures, holds it.
type HostLock struct {
	file      *os.File
	inherited bool
}

// LockHost takes the host lock, waiting for it at most as long as told. A process whose parent holds it shares it. Held
// by somebody else it is a refusal (75) that names the holder.
func (d Dir) LockHost(ctx context.Context, wait time.Duration) (*HostLock, error) {
	if fd, ok := d.inheritedLock(); ok {
		return &HostLock{file: os.NewFile(uintptr(fd), "host.lock"), inherited: true}, nil
	}
	f, err := os.OpenFile(d.LockPath(), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the host lock: %w", err)
	}
	deadline := time.Now().Add(wait)
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			name, _ := os.Executable()
			f.Truncate(0)
			f.WriteAt(fmt.Appendf(nil, "%d %s\n", os.Getpid(), name), 0) // only a hint for whoever is refused
			return &HostLock{file: f}, nil
		}
		if err != unix.EWOULDBLOCK && err != unix.EINTR {
			f.Close()
			return nil, fmt.Errorf("locking %s: %w", d.LockPath(), err)
		}
		if !time.Now().Before(deadline) || ctx.Err() != nil {
			defer f.Close()
			return nil, exit.New(exit.Refused, "lock_held",
				"the host lock %s is held by %s; wait for it to end and try again", d.LockPath(), holderOf(f))
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Release gives the lock back; an inherited one stays with the parent.
func (l *HostLock) Release() {
	if l != nil && !l.inherited {
		l.file.Close()
	}
}

// inheritedLock returns the descriptor named by LockEnv when it really is this host lock and its open file holds it.
func (d Dir) inheritedLock() (fd int, ok bool) {
	fd, err := strconv.Atoi(os.Getenv(LockEnv))
	if err != nil || fd < 0 {
		return 0, false
	}
	var mine, theirs unix.Stat_t
	if unix.Fstat(fd, &mine) != nil || unix.Stat(d.LockPath(), &theirs) != nil {
		return 0, false
	}
	if mine.Dev != theirs.Dev || mine.Ino != theirs.Ino {
		return 0, false
	}
	// Locking again through the same open file succeeds; through another it would block.
	return fd, unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) == nil
}

func holderOf(f *os.File) string {
	b := make([]byte, 256)
	n, err := f.ReadAt(b, 0)
	pid, name, ok := strings.Cut(strings.TrimSpace(string(b[:n])), " ")
	if n == 0 && err != nil || !ok {
		return "another process"
	}
	return fmt.Sprintf("%s (pid %s)", name, pid)
}

// withJournalLock runs f while no other process appends to or compacts the journal.
func (d Dir) withJournalLock(f func() error) (err error) {
	lock, err := os.OpenFile(d.journalLockPath(), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("opening the journal's lock: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	for {
		if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != unix.EINTR {
			if err != nil {
				return fmt.Errorf("locking the journal: %w", err)
			}
			return f()
		}
	}
}
