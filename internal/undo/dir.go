// SPDX-License-Identifier: Apache-2.0

package undo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"memline/internal/exit"
)

const (
	// DefaultDir is where the journal and the locks live.
	DefaultDir = "/run/memline"
	// DirEnv overrides DefaultDir.
	DirEnv = "MEMLINE_STATE_DIR"
)

// Dir is a state directory that only its owner can write to.
type Dir struct{ path string }

// OpenDir makes sure of the state directory: MEMLINE_STATE_DIR where it is set, else path. It refuses one that is not the
// caller's own or that others may write to or replace, since what the journal says is later done as root.
func OpenDir(path string) (Dir, error) {
	if env := os.Getenv(DirEnv); env != "" {
		path = env
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return Dir{}, err
	}
	err = os.Mkdir(path, 0o755)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return Dir{}, exit.New(exit.Privilege, "state_dir", "making the state folder: %w; run as root or set %s to a folder of your own", err, DirEnv)
	case err != nil && !errors.Is(err, fs.ErrExist):
		return Dir{}, fmt.Errorf("making the state folder: %w; set %s to another place", err, DirEnv)
	}
	info, err := os.Lstat(path)
	if err != nil {
		return Dir{}, err
	}
	around, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return Dir{}, err
	}
	own, parent := info.Sys().(*syscall.Stat_t), around.Sys().(*syscall.Stat_t)
	const othersWrite, worldWrites, sticky = 0o022, 0o002, 0o1000
	switch me := uint32(os.Geteuid()); {
	case !info.IsDir():
		return Dir{}, exit.New(exit.Refused, "state_dir", "%s is not a folder; remove it or set %s", path, DirEnv)
	case own.Uid != me:
		return Dir{}, exit.New(exit.Privilege, "state_dir", "%s belongs to user %d, not to %d; run as its owner or set %s", path, own.Uid, me, DirEnv)
	case own.Mode&othersWrite != 0:
		return Dir{}, exit.New(exit.Refused, "state_dir", "%s may be written by others (mode %04o); chmod go-w it or set %s", path, own.Mode&0o7777, DirEnv)
	case parent.Uid != 0 && parent.Uid != me, parent.Mode&worldWrites != 0 && parent.Mode&sticky == 0:
		return Dir{}, exit.New(exit.Refused, "state_dir", "%s lies in a folder that others may change, who could put their own in its place; set %s to another", path, DirEnv)
	}
	return Dir{path}, nil
}

// Path is the directory's absolute path.
func (d Dir) Path() string { return d.path }

// LockPath is the file whose flock is the host lock.
func (d Dir) LockPath() string { return filepath.Join(d.path, "host.lock") }

func (d Dir) journalPath() string     { return filepath.Join(d.path, "journal") }
func (d Dir) journalLockPath() string { return filepath.Join(d.path, "journal.lock") }

// openOwn opens or makes a file of the state directory, and refuses one that is no plain file or that others may write to.
func openOwn(path string, flags int) (*os.File, error) {
	// Without O_NONBLOCK opening a pipe would wait for its other end.
	f, err := os.OpenFile(path, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		own := info.Sys().(*syscall.Stat_t)
		if !info.Mode().IsRegular() || own.Uid != uint32(os.Geteuid()) || own.Mode&0o022 != 0 {
			err = exit.New(exit.Refused, "state_dir", "%s is not a plain file of user %d that only he may write to; look who made it, and remove it", path, os.Geteuid())
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
