// SPDX-License-Identifier: Apache-2.0

// Package cgroup puts a process behind a memory limit of its own, in cgroup v1 or v2, so that only its memory swaps.
//
// The fence is a folder named after its entry in the undo journal, so that restore removes no folder but ours.
package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"memline/internal/exit"
	"memline/internal/kernel"
	"memline/internal/undo"
)

// Kind is the journal's kind of a fence.
const Kind = "cgroup"

// mounts are where the memory controller's hierarchy is, by cgroup version.
var mounts = [3]string{1: "sys/fs/cgroup/memory", 2: "sys/fs/cgroup"}

// Limits are what the processes behind a fence may use.
type Limits struct {
	MemoryBytes int64 // resident memory; beyond it the kernel swaps their pages out, or kills them where it cannot
	SwapBytes   int64 // swap, so that they cannot fill the host's
}

// place is where a fence goes: the trace that the journal keeps of it.
type place struct {
	Version int    `json:"version"`
	Parent  string `json:"parent"` // from the root
}

// Fence is a cgroup that the calling process is in.
type Fence struct {
	root   kernel.FS
	place  place
	change *undo.Change
	home   string // the cgroup it came from, from the root
	// Unlimited names the limits that this kernel does not have, such as swap without swap accounting.
	Unlimited []string
}

// Enter makes a cgroup with these limits and moves the calling process into it. What the process already uses stays
// charged to the cgroup it came from. On failure nothing is left behind.
func Enter(root kernel.FS, j *undo.Journal, limits Limits) (*Fence, error) {
	where, home, err := find(root)
	if err != nil {
		return nil, err
	}
	owner, err := undo.Self(root)
	if err != nil {
		return nil, err
	}
	change, err := j.Begin(owner, Kind, where)
	if err != nil {
		return nil, err
	}
	f := &Fence{root: root, place: where, change: change, home: home}
	if err := f.build(limits); err != nil {
		return nil, errors.Join(err, f.Leave())
	}
	return f, change.Settle(nil)
}

func (f *Fence) build(limits Limits) error {
	dir := f.dir()
	if err := os.Mkdir(dir, 0o755); err != nil {
		return privilege(dir, err)
	}
	unlimited, err := apply(dir, limits.writes(f.place.Version))
	if err != nil {
		return err
	}
	f.Unlimited = unlimited
	return write(filepath.Join(dir, "cgroup.procs"), strconv.Itoa(os.Getpid()))
}

// Path is the fence's folder.
func (f *Fence) Path() string { return f.dir() }

func (f *Fence) dir() string { return folder(f.root, f.place, f.change.ID()) }

func folder(root kernel.FS, p place, id string) string { return root.Path(p.Parent, "memline-"+id) }

// Leave moves the calling process back to where it came from and removes the fence.
func (f *Fence) Leave() error {
	if _, err := os.Stat(f.dir()); errors.Is(err, fs.ErrNotExist) {
		return f.change.Undone()
	}
	pid := strconv.Itoa(os.Getpid())
	if err := write(f.root.Path(f.home, "cgroup.procs"), pid); err != nil {
		// Its manager may have removed the old home; the top of the hierarchy takes everybody.
		if err := write(f.root.Path(mounts[f.place.Version], "cgroup.procs"), pid); err != nil {
			return err
		}
	}
	if err := remove(f.dir()); err != nil {
		return err
	}
	return f.change.Undone()
}

// limitWrite is one limit of a fence: a file and what is written to it.
type limitWrite struct {
	file, value string
	optional    bool // not every kernel has it
}

// highShare is the part of the limit at which v2 already reclaims: the hard limit is then for what reclaim cannot keep
// up with, and reclaim comes before the OOM killer.
const highShare = 15.0 / 16

func (l Limits) writes(version int) []limitWrite {
	memory := strconv.FormatInt(l.MemoryBytes, 10)
	if version == 1 {
		return []limitWrite{
			{file: "memory.limit_in_bytes", value: memory},
			// memsw counts both, and the kernel refuses it below limit_in_bytes, hence the order.
			{file: "memory.memsw.limit_in_bytes", value: strconv.FormatInt(l.MemoryBytes+l.SwapBytes, 10), optional: true},
		}
	}
	return []limitWrite{
		{file: "memory.high", value: strconv.FormatInt(int64(highShare*float64(l.MemoryBytes)), 10)},
		{file: "memory.swap.max", value: strconv.FormatInt(l.SwapBytes, 10), optional: true},
		{file: "memory.max", value: memory},
	}
}

// apply writes the limits in order and returns the names of the optional ones that are not there.
func apply(dir string, writes []limitWrite) (missing []string, err error) {
	for _, w := range writes {
		err := write(filepath.Join(dir, w.file), w.value)
		if w.optional && errors.Is(err, fs.ErrNotExist) {
			missing = append(missing, w.file)
			continue
		}
		if err != nil {
			return missing, err
		}
	}
	return missing, nil
}

// find returns where a fence for the calling process goes, and the cgroup that the process is in.
//
// In v1 it goes below that cgroup, whose limits go on counting. In v2 a cgroup with processes cannot have limited
// children, so it goes beside it: below the nearest ancestor that hands the memory controller down.
func find(root kernel.FS) (where place, home string, err error) {
	where.Version = root.CgroupVersion()
	if where.Version == 0 {
		return where, "", exit.New(exit.Unsupported, "no_memory_cgroup",
			"this host has no memory controller (cgroup v1 at /%s or v2 at /%s); mount one, or leave --memory-limit out", mounts[1], mounts[2])
	}
	text, err := root.Text("proc/self/cgroup")
	if err != nil {
		return where, "", fmt.Errorf("finding this process's cgroup: %w", err)
	}
	mount := mounts[where.Version]
	home = filepath.Join(mount, own(text, where.Version))
	if _, err := os.Stat(root.Path(home)); err != nil { // a path of another cgroup namespace
		home = mount
	}
	where.Parent = home
	if where.Version == 1 {
		return where, home, nil
	}
	for dir := home; ; dir = filepath.Dir(dir) {
		controllers, _ := root.Text(dir, "cgroup.subtree_control")
		if slices.Contains(strings.Fields(controllers), "memory") {
			where.Parent = dir
			return where, home, nil
		}
		if dir == mount {
			return where, "", exit.New(exit.Unsupported, "no_memory_cgroup",
				"no cgroup above this process hands the memory controller down; write +memory to /%s/cgroup.subtree_control, or run below systemd-run --scope", mount)
		}
	}
}

// own finds this process's cgroup in the text of /proc/self/cgroup:
//
//	4:memory:/user.slice      version 1
//	0::/user.slice            version 2
func own(text string, version int) string {
	for line := range strings.Lines(text) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		if version == 2 && fields[0] == "0" || version == 1 && slices.Contains(strings.Split(fields[1], ","), "memory") {
			return strings.TrimSuffix(fields[2], " (deleted)")
		}
	}
	return "/"
}

func write(path, value string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return privilege(path, err)
	}
	defer f.Close()
	if _, err := f.WriteString(value); err != nil {
		return privilege(path, fmt.Errorf("writing %s: %w", value, err))
	}
	return nil
}

// privilege names the file that a missing permission was for.
func privilege(path string, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) {
		return exit.New(exit.Privilege, "cgroup", "%s: %w; --memory-limit needs write access there, as root has", path, err)
	}
	return fmt.Errorf("%s: %w", path, err)
}
