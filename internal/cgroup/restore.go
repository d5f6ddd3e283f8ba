// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"memline/internal/kernel"
	"memline/internal/undo"
)

// Reverser removes a fence whose owner is dead. It moves and kills nobody: the holders behind it have been killed by then,
// and whoever else is there keeps it, as an error that names them.
func Reverser(root kernel.FS) undo.Reverser {
	return func(ctx context.Context, c *undo.Change) (string, error) {
		var p place
		if err := c.Decode(&p); err != nil {
			return "", err
		}
		dir := folder(root, p, c.ID())
		if !strings.HasPrefix(dir, root.Path("sys/fs/cgroup")+"/") {
			return dir, fmt.Errorf("%s is not below /sys/fs/cgroup", dir)
		}
		return dir, remove(dir)
	}
}

const (
	// removeEvery and removeFor: a killed process leaves its cgroup a moment after it is gone for everybody else.
	removeEvery = time.Millisecond
	removeFor   = 5 * time.Second
)

// remove removes a cgroup; one already gone is no error.
func remove(dir string) error {
	for deadline := time.Now().Add(removeFor); ; time.Sleep(removeEvery) {
		err := unix.Rmdir(dir)
		switch {
		case err == nil || errors.Is(err, unix.ENOENT):
			return nil
		case errors.Is(err, unix.EBUSY) && time.Now().Before(deadline):
			continue
		case errors.Is(err, unix.EBUSY):
			procs, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
			return fmt.Errorf("removing %s: %w; processes in it: %s; end them and run zramctl restore",
				dir, err, strings.Join(strings.Fields(string(procs)), " "))
		}
		return privilege(dir, err)
	}
}
