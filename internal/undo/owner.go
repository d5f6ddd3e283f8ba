// SPDX-License-Identifier: Apache-2.0

package undo

import (
	"fmt"
	"os"
	"strconv"

	"memline/internal/exit"
	"memline/internal/kernel"
)

// Owner answers for a change: a process, or nobody (persistent), in which case only its user undoes it.
type Owner struct {
	kernel.Process
	Comm       string `json:"comm,omitempty"`
	Persistent bool   `json:"persistent,omitempty"`
}

// OwnerEnv names the process that owns what the tools below it change: a script exports its own pid.
const OwnerEnv = "MEMLINE_OWNER_PID"

// Persistent owns what outlives every process.
func Persistent() Owner { return Owner{Persistent: true} }

// OwnerOf is the process that has this pid now.
func OwnerOf(root kernel.FS, pid int) (Owner, error) {
	p, err := root.Process(pid)
	if err != nil {
		return Owner{}, fmt.Errorf("owner: %w", err)
	}
	comm, _ := root.Text("proc", strconv.Itoa(pid), "comm")
	return Owner{Process: p, Comm: comm}, nil
}

// Self is the calling process as an owner.
func Self(root kernel.FS) (Owner, error) { return OwnerOf(root, os.Getpid()) }

// EnvOwner is the owner that a script above this process named in MEMLINE_OWNER_PID, or the process itself. A name that is
// none is a usage error.
func EnvOwner(root kernel.FS) (Owner, error) {
	text := os.Getenv(OwnerEnv)
	if text == "" {
		return Self(root)
	}
	pid, err := strconv.Atoi(text)
	if err != nil || pid <= 0 {
		return Owner{}, exit.New(exit.Usage, "usage", "%s=%q is not a process id", OwnerEnv, text)
	}
	owner, err := OwnerOf(root, pid)
	if err != nil {
		return Owner{}, exit.New(exit.Usage, "usage", "%s: %w", OwnerEnv, err)
	}
	return owner, nil
}

func (o Owner) String() string {
	switch {
	case o.Persistent:
		return "persistent"
	case o.Comm == "":
		return fmt.Sprintf("pid %d", o.PID)
	}
	return fmt.Sprintf("%s (pid %d)", o.Comm, o.PID)
}

// alive reports whether the owner can still answer for a change.
func (o Owner) alive(root kernel.FS) bool { return o.Persistent || root.Alive(o.Process) }
