// SPDX-License-Identifier: Apache-2.0

package undo

import (
	"context"
	"fmt"
	"os"
	"strings"

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

// SetValue writes a kernel setting that the owner's end or restore puts back.
func (j *Journal) SetValue(owner Owner, path, value string) (*Change, error) {
	old, err := j.root.Text(path)
	if err != nil {
		return nil, fmt.Errorf("reading the old value: %w", err)
	}
	v := Value{Path: path, Old: old, New: value}
	c, err := j.Begin(owner, KindValue, v)
	if err != nil {
		return nil, err
	}
	if err := writeText(j.root.Path(path), value); err != nil {
		return nil, fmt.Errorf("setting %s: %w", path, joinUndone(err, c))
	}
	// The kernel may normalise what it was given; what it says now is what restore must find.
	if v.New, err = j.root.Text(path); err != nil {
		return nil, err
	}
	return c, c.Settle(v)
}

func joinUndone(err error, c *Change) error {
	if undoErr := c.Undone(); undoErr != nil {
		return fmt.Errorf("%w; %w", err, undoErr)
	}
	return err
}

// ReverseValue puts the old value back unless somebody else has changed it since, which is then theirs to keep.
func ReverseValue(root kernel.FS) Reverser {
	return func(_ context.Context, c *Change) (string, error) {
		var v Value
		if err := c.Decode(&v); err != nil {
			return "", err
		}
		now, err := root.Text(v.Path)
		switch {
		case err != nil:
			return v.Path, err
		case now == v.Old:
			return v.Path, nil
		case now != v.New:
			return v.Path + " (left at " + now + ": changed by somebody else since)", nil
		}
		return v.Path, writeText(root.Path(v.Path), v.Old)
	}
}

// writeText writes a kernel file that must exist.
func writeText(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(strings.TrimSpace(text) + "\n")
	return err
}
