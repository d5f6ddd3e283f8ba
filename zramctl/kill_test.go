// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"memline/internal/kernel"
	"memline/internal/kernel/kerneltest"
	"memline/internal/undo"
	"memline/internal/undo/undotest"
	"memline/internal/zram"
)

// host is the running kernel under the host lock, with a journal of the test's.
type host struct {
	t      *testing.T
	tool   string
	before undo.Snapshot
}

func newHost(t *testing.T) *host {
	t.Helper()
	kerneltest.Zram(t)
	kerneltest.HostLock(t)
	state, err := os.MkdirTemp("/dev/shm", "zramctl-test-")
	if err != nil {
		state = t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(state) })
	if err := os.Chmod(state, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv(undo.DirEnv, filepath.Join(state, "state"))
	t.Setenv(undo.OwnerEnv, "")
	h := &host{t: t}
	if h.tool, err = exec.LookPath("bare-zramctl"); err != nil {
		t.Fatal(err)
	}
	if h.before, err = undo.TakeSnapshot(kernel.Root()); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *host) zramctl(args ...string) *exec.Cmd { return exec.Command(h.tool, args...) }

// must runs the tool and returns what it prints.
func (h *host) must(args ...string) string {
	h.t.Helper()
	cmd := h.zramctl(args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		h.t.Fatalf("zramctl %q: %v: %s", args, err, &stderr)
	}
	return string(out)
}

// create makes a device that belongs to the owner, or stays.
func (h *host) create(more ...string) string {
	h.t.Helper()
	return strings.TrimSpace(h.must(append([]string{"create", "--size", "1M", "--swap", "-o", "table"}, more...)...))
}

func (h *host) journal() []*undo.Change {
	h.t.Helper()
	dir, err := undo.OpenDir(undo.DefaultDir)
	if err != nil {
		h.t.Fatal(err)
	}
	j, err := undo.Open(dir, kernel.Root())
	if err != nil {
		h.t.Fatal(err)
	}
	live, err := j.Live()
	if err != nil {
		h.t.Fatal(err)
	}
	return live
}

// standing is the names of the journal's devices.
func (h *host) standing() (devices []string) {
	h.t.Helper()
	for _, c := range h.journal() {
		var made struct{ Number int }
		if c.Entry().Kind != zram.Kind {
			continue
		}
		if err := c.Decode(&made); err != nil {
			h.t.Fatal(err)
		}
		devices = append(devices, "zram"+strconv.Itoa(made.Number))
	}
	return devices
}

// wantBefore fails the test unless swaps, devices and journal are as they were before it.
func (h *host) wantBefore(when string) {
	h.t.Helper()
	now, err := undo.TakeSnapshot(kernel.Root())
	if err != nil {
		h.t.Fatal(err)
	}
	for _, d := range h.before.Diff(now) {
		h.t.Errorf("%s: the host is not as before: %s was %q, is %q", when, d.What, d.Was, d.Is)
	}
	for _, c := range h.journal() {
		h.t.Errorf("%s: the journal still holds %+v", when, c.Entry())
	}
}

// owner is a process that devices belong to.
func (h *host) owner() *exec.Cmd {
	h.t.Helper()
	cmd := exec.Command("sleep", "300")
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { end(cmd) })
	return cmd
}

func end(cmd *exec.Cmd) {
	cmd.Process.Kill()
	cmd.Wait()
}

// forDead makes a device whose owner has died since.
func (h *host) forDead() string {
	h.t.Helper()
	owner := h.owner()
	device := h.create("--owner-pid", pid(owner))
	end(owner)
	return device
}

// TestKillAtRandom kills zramctl at random moments; one restore later everything is as before. A device may only stay where
// its create had told the caller of it, or its destroy had not begun.
func TestKillAtRandom(t *testing.T) {
	h := newHost(t)
	script := h.owner()
	commands := []struct {
		name  string
		args  func() []string
		lasts time.Duration // about, and a little more
	}{
		{"create", func() []string { return []string{"create", "--size", "1M", "--swap"} }, 15 * time.Millisecond},
		{"create for a script", func() []string { return []string{"create", "--size", "1M", "--swap", "--owner-pid", pid(script)} }, 15 * time.Millisecond},
		{"destroy", func() []string { return []string{"destroy", h.create()} }, 70 * time.Millisecond},
		{"algorithms", func() []string { return []string{"algorithms"} }, 250 * time.Millisecond},
		{"restore", func() []string { h.forDead(); return []string{"restore"} }, 70 * time.Millisecond},
	}
	const kills = 75
	for n := range kills {
		c := commands[n%len(commands)]
		cmd := h.zramctl(c.args()...)
		var stdout bytes.Buffer
		cmd.Stdout = &stdout
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(rand.N(c.lasts))
		end(cmd)
		h.must("restore")
		for _, device := range h.standing() {
			if !strings.Contains(stdout.String(), `"event":"ready"`) && c.name != "destroy" {
				t.Errorf("%s: %s stays and nobody knows", c.name, device)
			}
			t.Setenv(undo.OwnerEnv, pid(script))
			h.must("destroy", device)
			t.Setenv(undo.OwnerEnv, "")
		}
		h.wantBefore(c.name)
		if t.Failed() {
			t.Fatalf("after kill %d: %s", n, &stdout)
		}
	}
}

// TestKillEverywhere kills zramctl before each of the calls with which it changes something; once its script is dead too,
// one restore later everything is as before.
func TestKillEverywhere(t *testing.T) {
	h := newHost(t)
	var script *exec.Cmd
	for _, test := range []struct {
		name  string
		opens int
		start func() *exec.Cmd
	}{
		{"create", 7, func() *exec.Cmd {
			return h.zramctl("create", "--size", "1M", "--algorithm", "lz4", "--mem-limit", "1M", "--swap", "--owner-pid", pid(script))
		}},
		{"destroy", 15, func() *exec.Cmd {
			device := h.create("--owner-pid", pid(script))
			cmd := h.zramctl("destroy", device)
			cmd.Env = append(os.Environ(), undo.OwnerEnv+"="+pid(script))
			return cmd
		}},
		{"restore", 15, func() *exec.Cmd {
			h.forDead()
			return h.zramctl("restore")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h.t = t
			undotest.KillBeforeEach(t, test.opens, func() *exec.Cmd {
				script = h.owner()
				return test.start()
			}, func(where string) {
				end(script)
				h.must("restore")
				h.wantBefore(where)
			})
		})
	}
}

func pid(cmd *exec.Cmd) string { return strconv.Itoa(cmd.Process.Pid) }
