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
type HostLock struct{ file *os.File } // nil for one that is inherited: the descriptor stays the parent's

// LockHost takes the host lock, waiting for it at most as long as told. A process whose parent holds it shares it. Held
// by somebody else it is a refusal (75) that names the holder.
func (d Dir) LockHost(ctx context.Context, wait time.Duration) (*HostLock, error) {
	if d.inheritsLock() {
		return &HostLock{}, nil
	}
	deadline := time.Now().Add(wait)
	for {
		f, err := lockFile(d.LockPath(), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			name, _ := os.Executable()
			f.Truncate(0)
			f.WriteAt(fmt.Appendf(nil, "%d %s\n", os.Getpid(), name), 0) // only a hint for whoever is refused
			return &HostLock{f}, nil
		case !errors.Is(err, unix.EWOULDBLOCK):
			return nil, fmt.Errorf("the host lock: %w", err)
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case !time.Now().Before(deadline):
			return nil, exit.New(exit.Refused, "lock_held",
				"the host lock %s is held by %s; wait for it to end and try again", d.LockPath(), d.lockHolder())
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Release gives the lock back; an inherited one stays with the parent.
func (l *HostLock) Release() {
	if l != nil && l.file != nil {
		l.file.Truncate(0) // the next holder may be a shell that does not say who it is
		l.file.Close()
	}
}

// inheritsLock reports whether the descriptor named by LockEnv really is this host lock, and its open file holds it.
func (d Dir) inheritsLock() bool {
	fd, err := strconv.Atoi(os.Getenv(LockEnv))
	if err != nil || fd < 0 || !isFile(fd, d.LockPath()) {
		return false
	}
	// The kernel lists the locks of this very open file: "lock:	1: FLOCK  ADVISORY  WRITE 5142 fe:00:1049 0 EOF".
	info, err := os.ReadFile("/proc/self/fdinfo/" + strconv.Itoa(fd))
	for line := range strings.Lines(string(info)) {
		if f := strings.Fields(line); len(f) > 4 && f[0] == "lock:" && f[2] == "FLOCK" && f[4] == "WRITE" {
			return err == nil
		}
	}
	return false
}

// lockHolder says who holds the lock, as far as the file tells: what is in it may be the word of one long gone, whose
// child still has the lock.
func (d Dir) lockHolder() string {
	b, _ := os.ReadFile(d.LockPath())
	text, name, ok := strings.Cut(strings.TrimSpace(string(b)), " ")
	pid, err := strconv.Atoi(text)
	if !ok || err != nil || pid <= 0 || errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
		return "another process (fuser tells which)"
	}
	return fmt.Sprintf("%s (pid %d)", name, pid)
}

// withJournalLock runs f while no other process appends to or compacts the journal.
func (d Dir) withJournalLock(f func() error) (err error) {
	lock, err := lockFile(d.journalLockPath(), unix.LOCK_EX)
	if err != nil {
		return fmt.Errorf("the journal's lock: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	return f()
}

// lockFile opens and locks a file. Whoever waits for the lock of a file that is removed meanwhile starts again with the
// new one, or two would hold the lock.
func lockFile(path string, how int) (*os.File, error) {
	for {
		f, err := openOwn(path, os.O_RDWR|os.O_CREATE)
		if err != nil {
			return nil, err
		}
		switch err := unix.Flock(int(f.Fd()), how); {
		case err == nil && isFile(int(f.Fd()), path):
			return f, nil
		case err != nil && err != unix.EINTR:
			f.Close()
			return nil, fmt.Errorf("locking %s: %w", path, err)
		}
		f.Close()
	}
}

// isFile reports whether the descriptor is the file that has this path now.
func isFile(fd int, path string) bool {
	var open, named unix.Stat_t
	return unix.Fstat(fd, &open) == nil && unix.Lstat(path, &named) == nil && open.Dev == named.Dev && open.Ino == named.Ino
}
