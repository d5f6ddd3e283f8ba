// SPDX-License-Identifier: Apache-2.0

package zram

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"memline/internal/exit"
	"memline/internal/undo"
)

// Destroy takes a device of ours out of swap and removes it. Where it cannot even begin, the device stays its owner's.
func (d Device) Destroy(ctx context.Context, change *undo.Change) error {
	var t trace
	if err := change.Decode(&t); err != nil {
		return err
	}
	if err := d.swappedByOthers(change.ID(), t); err != nil {
		return err
	}
	settled := change.Settled()
	if err := change.Take(); err != nil {
		return err
	}
	wasOn, _, _ := d.swapUse()
	if err := d.remove(ctx, func() error { return d.identify(change.ID(), t) }); err != nil {
		if on, _, useErr := d.swapUse(); settled && useErr == nil && on == wasOn {
			err = errors.Join(err, change.Settle(nil))
		}
		return privilege(err)
	}
	return change.Undone()
}

// remove is swapoff and hot_remove, retried while somebody (udev) has the device open. The kernel resets the device as the
// first part of hot_remove, and refuses both while it is open: a reset of our own before would only leave an empty device
// for a moment, for others to find (util-linux's zramctl --find) and to lose. Still is asked before each try whether the
// device is the one to remove; one that is not it any more is gone.
func (d Device) remove(ctx context.Context, still func() error) error {
	err := still()
	if err == nil {
		err = d.swapoff(ctx)
	}
	if errors.As(err, new(errNotIt)) {
		return nil
	}
	if err != nil {
		return err
	}
	path := d.root.Path(hotRemove)
	again := func(err error) bool { return transient(err) && d.mountedOn() == "" }
	err = d.retry(ctx, again, func() error {
		if err := still(); err != nil {
			return err
		}
		return unwrapPath(writeFile(path, strconv.Itoa(d.Number)))
	})
	switch {
	case errors.As(err, new(errNotIt)), errors.Is(err, unix.ENODEV):
		return nil
	case errors.Is(err, unix.EBUSY):
		return exit.New(exit.Refused, "device_busy", "removing %s: %w: %s; end that and try again", d.Name(), err, d.users())
	case err != nil:
		return fmt.Errorf("removing %s through %s: %w", d.Name(), path, err)
	}
	return nil
}

// mountedOn is where the device is mounted, as far as this process's mounts tell.
func (d Device) mountedOn() string {
	number, err := d.text("dev")
	if err != nil {
		return ""
	}
	text, _ := d.root.Text("proc/self/mountinfo")
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 4 && f[2] == number {
			return f[4]
		}
	}
	return ""
}

// users says who keeps the device busy.
func (d Device) users() string {
	if where := d.mountedOn(); where != "" {
		return "it is mounted on " + where
	}
	paths, _ := filepath.Glob(d.root.Path("proc/[0-9]*/fd/*"))
	for _, path := range paths {
		if target, err := os.Readlink(path); err == nil && target == d.Node() {
			pid := filepath.Base(filepath.Dir(filepath.Dir(path)))
			comm, _ := d.root.Text("proc", pid, "comm")
			return fmt.Sprintf("%s (pid %s) has it open", comm, pid)
		}
	}
	return "somebody has it open"
}
