// SPDX-License-Identifier: Apache-2.0

// Package zram makes, reads and removes zram devices through sysfs, each under the undo journal.
//
// Device numbers are reused at once, so a device is ours only when the kernel's disk sequence number is the one the
// journal has, and, once it is swapped on, when its swap header carries the journal's id.
package zram

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"memline/internal/exit"
	"memline/internal/kernel"
)

// Control is the zram of one kernel.
type Control struct {
	root     kernel.FS
	patience time.Duration // how long to retry what passes by itself; 0 is retryFor
}

// Open checks that zram is there; where it is not the error says what to do.
func Open(root kernel.FS) (Control, error) {
	if _, err := os.Stat(root.Path(hotAdd)); err != nil {
		return Control{}, exit.New(exit.Unsupported, "no_zram",
			"zram is not here (%w); load it with modprobe zram, or use a kernel with CONFIG_ZRAM", err)
	}
	return Control{root: root}, nil
}

const (
	hotAdd    = "sys/class/zram-control/hot_add"
	hotRemove = "sys/class/zram-control/hot_remove"
)

// Device is a zram device by number.
type Device struct {
	root     kernel.FS
	patience time.Duration
	Number   int
}

// Name is the device's name in /sys/block, such as zram1.
func (d Device) Name() string { return "zram" + strconv.Itoa(d.Number) }

// Node is the device's path, such as /dev/zram1.
func (d Device) Node() string { return d.root.Path("dev", d.Name()) }

// Device returns the device with this number, whether it exists or not.
func (c Control) Device(number int) Device { return Device{c.root, c.patience, number} }

// Number takes zram1, /dev/zram1 or 1 and returns the number; another name is a usage error.
func Number(name string) (int, error) {
	digits := strings.TrimPrefix(strings.TrimPrefix(name, "/dev/"), "zram")
	number, err := strconv.Atoi(digits)
	if err != nil || number < 0 || digits != strconv.Itoa(number) {
		return 0, exit.New(exit.Usage, "usage", "%q is not a zram device; name it as zram1 or /dev/zram1", name)
	}
	return number, nil
}

// Parse takes a name as Number does and returns the device, which must exist.
func (c Control) Parse(name string) (Device, error) {
	number, err := Number(name)
	if err != nil {
		return Device{}, err
	}
	d := c.Device(number)
	exists, err := d.exists()
	if err != nil {
		return Device{}, err
	}
	if !exists {
		return Device{}, exit.New(exit.Failure, "no_device", "%s does not exist; zramctl status lists the devices", d.Name())
	}
	return d, nil
}

// Devices lists the zram devices by number.
func (c Control) Devices() ([]Device, error) {
	paths, err := filepath.Glob(c.root.Path("sys/block/zram*"))
	if err != nil {
		return nil, err
	}
	var devices []Device
	for _, path := range paths {
		if n, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(path), "zram")); err == nil {
			devices = append(devices, c.Device(n))
		}
	}
	slices.SortFunc(devices, func(a, b Device) int { return a.Number - b.Number })
	return devices, nil
}

func (d Device) exists() (bool, error) {
	_, err := os.Stat(d.root.Path("sys/block", d.Name()))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (d Device) attr(name string) string { return d.root.Path("sys/block", d.Name(), name) }

// text reads a sysfs attribute.
func (d Device) text(name string) (string, error) { return d.root.Text("sys/block", d.Name(), name) }

// sequence is the kernel's disk sequence number, unique for this boot; 0 where there is none: before Linux 5.15, and for a
// device that has gone.
func (d Device) sequence() (uint64, error) {
	text, err := d.text("diskseq")
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("diskseq of %s: %w", d.Name(), err)
	}
	return n, nil
}

// Initialised reports whether the device has a size, and so may hold data.
func (d Device) Initialised() bool {
	text, err := d.text("initstate")
	return err == nil && text != "0"
}

// write writes a sysfs attribute that must exist, retrying what the kernel refuses only for a moment.
func (d Device) write(name, value string) error { return d.writeWhile(name, value, transient) }

// configure writes an attribute of a device nobody else uses: EBUSY there means that it is already set up.
func (d Device) configure(name, value string) error {
	return d.writeWhile(name, value, func(err error) bool { return errors.Is(err, unix.EINTR) })
}

func (d Device) writeWhile(name, value string, again func(error) bool) error {
	path := d.attr(name)
	err := d.retry(context.Background(), again, func() error { return writeFile(path, value) })
	if err != nil {
		return fmt.Errorf("writing %q to %s: %w", value, path, unwrapPath(err))
	}
	return nil
}

func writeFile(path, value string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(value)
	return err
}

func unwrapPath(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

const (
	// retryEvery and retryFor: of 60 swapoffs beside a process touching the pages, 7 got ENOMEM and each was cured by one
	// retry after 1 ms; EBUSY lasts as long as somebody (udev) has the node open.
	retryEvery = time.Millisecond
	retryFor   = 5 * time.Second
)

// transient are the errors that pass by themselves.
func transient(err error) bool {
	return errors.Is(err, unix.EBUSY) || errors.Is(err, unix.ENOMEM) || errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN)
}

func (d Device) retry(ctx context.Context, again func(error) bool, f func() error) error {
	patience := d.patience
	if patience == 0 {
		patience = retryFor
	}
	deadline := time.Now().Add(patience)
	for {
		err := f()
		if err == nil || !again(err) || time.Now().After(deadline) || ctx.Err() != nil {
			return err
		}
		time.Sleep(retryEvery)
	}
}

// privilege turns a permission error into the refusal that names what is missing.
func privilege(err error) error {
	if errors.As(err, new(*exit.Error)) {
		return err
	}
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) {
		return exit.New(exit.Privilege, "cap_sys_admin", "%w; zram needs root (CAP_SYS_ADMIN and write access to /sys/block/zram*)", err)
	}
	return err
}
