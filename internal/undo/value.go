// SPDX-License-Identifier: Apache-2.0

package undo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"memline/internal/exit"
	"memline/internal/kernel"
)

// KindValue is a kernel setting: a sysctl or a module parameter.
const KindValue = "value"

// Value is a kernel file that holds a setting, with its text before and after the change.
type Value struct {
	Path string `json:"path"` // from the root, such as proc/sys/vm/page-cluster
	Old  string `json:"old"`
	New  string `json:"new"`
}

// SetValue writes a kernel setting that the owner's end or restore puts back. On failure the old value is back already.
func (j *Journal) SetValue(owner Owner, path, value string) (*Change, error) {
	old, err := readValue(j.root, path)
	if err != nil {
		return nil, fmt.Errorf("reading the old value: %w", err)
	}
	c, err := j.Begin(owner, KindValue, Value{Path: path, Old: old, New: value})
	if err != nil {
		return nil, err
	}
	if err = writeValue(j.root, path, value); err == nil {
		err = c.Settle(nil)
	}
	if err != nil {
		return nil, errors.Join(err, c.putBack(context.Background(), ReverseValue(j.root)))
	}
	return c, nil
}

func (c *Change) putBack(ctx context.Context, r Reverser) error {
	if _, err := r(ctx, c); err != nil {
		return err
	}
	return c.Undone()
}

// ReverseValue puts the old value back unless somebody else has changed it since, which is then theirs to keep.
func ReverseValue(root kernel.FS) Reverser {
	return func(_ context.Context, c *Change) (string, error) {
		var v Value
		if err := c.Decode(&v); err != nil {
			return "", err
		}
		now, err := readValue(root, v.Path)
		switch {
		case err != nil:
			return v.Path, err
		case sameValue(now, v.Old):
			return v.Path, nil
		case !sameValue(now, v.New):
			return v.Path + " (left at " + now + ": changed by somebody else since)", nil
		}
		return v.Path, writeValue(root, v.Path, v.Old)
	}
}

// sameValue compares two texts of one setting. The kernel may not say what it was told in the same words ("1" becomes "Y"
// in a module parameter), and who died before reading it back could not note the kernel's.
func sameValue(a, b string) bool {
	if a == b {
		return true
	}
	if m, err := strconv.ParseInt(a, 0, 64); err == nil {
		if n, err := strconv.ParseInt(b, 0, 64); err == nil {
			return m == n
		}
	}
	x, isBool := boolean(a)
	y, both := boolean(b)
	return isBool && both && x == y
}

// boolean parses what the kernel's kstrtobool takes.
func boolean(text string) (value, ok bool) {
	switch strings.ToLower(text) {
	case "1", "y", "yes", "t", "true", "on":
		return true, true
	case "0", "n", "no", "f", "false", "off":
		return false, true
	}
	return false, false
}

// setting refuses a path that is no kernel setting: a journal is no way to write to any other file.
func setting(path string) error {
	if !filepath.IsLocal(path) || !strings.HasPrefix(path, "proc/sys/") && !strings.HasPrefix(path, "sys/") || filepath.Clean(path) != path {
		return fmt.Errorf("%q is not a setting below proc/sys or sys", path)
	}
	return nil
}

// readValue reads a setting; of a choice such as "always [madvise] never" it is the one in brackets.
func readValue(root kernel.FS, path string) (string, error) {
	if err := setting(path); err != nil {
		return "", err
	}
	text, err := root.Text(path)
	if err != nil {
		return "", err
	}
	return kernel.Selected(text), nil
}

// writeValue writes a kernel file that must exist.
func writeValue(root kernel.FS, path, value string) error {
	f, err := os.OpenFile(root.Path(path), os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(strings.TrimSpace(value) + "\n")
		err = errors.Join(err, f.Close())
	}
	if errors.Is(err, fs.ErrPermission) {
		return exit.New(exit.Privilege, "setting", "setting /%s to %s: %w; it needs root (CAP_SYS_ADMIN)", path, value, err)
	}
	if err != nil {
		return fmt.Errorf("setting /%s to %s: %w", path, value, err)
	}
	return nil
}
