// SPDX-License-Identifier: Apache-2.0

package undo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"memline/internal/kernel"
)

const (
	testBoot = "11111111-2222-3333-4444-555555555555"
	testKind = "file" // a change of this kind is a file that exists while the change is made
)

// TestMain lets the test binary play the other processes: see child_test.go.
func TestMain(m *testing.M) {
	if role := os.Getenv("UNDO_TEST_ROLE"); role != "" {
		os.Exit(play(role, os.Args[1:]))
	}
	os.Exit(m.Run())
}

// openTest returns a journal in a folder of the test's, on the running kernel.
func openTest(t *testing.T) *Journal {
	t.Helper()
	t.Setenv(DirEnv, filepath.Join(inMemory(t), "state"))
	t.Setenv(LockEnv, "")
	return reopen(t)
}

// inMemory is a folder of the test's that no busy disk makes slow, as /run is none.
func inMemory(t testing.TB) string {
	t.Helper()
	path, err := os.MkdirTemp("/dev/shm", "undo-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(path) })
	return path
}

func reopen(t testing.TB) *Journal {
	t.Helper()
	dir, err := OpenDir(DefaultDir)
	if err != nil {
		t.Fatal(err)
	}
	j, err := Open(dir, kernel.Root())
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func self(t testing.TB) Owner {
	t.Helper()
	o, err := Self(kernel.Root())
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// sleeper starts a process that does nothing, for changes to belong to.
func sleeper(t testing.TB) (Owner, *exec.Cmd) {
	t.Helper()
	cmd := exec.Command("sleep", "300")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end(cmd) })
	o, err := OwnerOf(kernel.Root(), cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	return o, cmd
}

func end(cmd *exec.Cmd) {
	cmd.Process.Kill()
	cmd.Wait()
}

// live returns what the journal says stands, as text: kind, owner, detail.
func live(t testing.TB, j *Journal) []string {
	t.Helper()
	changes, err := j.Live()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, c := range changes {
		if c.entry.Kind != kindSnapshot {
			lines = append(lines, fmt.Sprintf("%s %s %s", c.entry.Kind, c.entry.Owner.Comm, c.entry.Detail))
		}
	}
	return lines
}

func wantLive(t testing.TB, j *Journal, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, live(t, j)); diff != "" {
		t.Errorf("live changes: -want +got\n%s", diff)
	}
}

// reversers of the test kind remove the file that the detail names.
func reversers() map[string]Reverser {
	return map[string]Reverser{testKind: func(_ context.Context, c *Change) (string, error) {
		var path string
		if err := c.Decode(&path); err != nil {
			return "", err
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return path, err
		}
		return path, nil
	}}
}

func restoreNow(t testing.TB, j *Journal) Restored {
	t.Helper()
	r, err := j.Restore(t.Context(), Plan{Wait: time.Minute, Reversers: reversers()})
	if err != nil {
		t.Fatalf("Restore: %v", err)
	}
	return r
}
