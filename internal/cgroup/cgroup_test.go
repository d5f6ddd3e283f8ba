// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"memline/internal/exit"
	"memline/internal/kernel"
	"memline/internal/kernel/kerneltest"
	"memline/internal/undo"
)

// tree makes a root with these files.
func tree(t *testing.T, files map[string]string) kernel.FS {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return kernel.At(dir)
}

func TestFind(t *testing.T) {
	const mount1, mount2 = "sys/fs/cgroup/memory", "sys/fs/cgroup"
	v2 := func(self string, more map[string]string) map[string]string {
		files := map[string]string{"proc/self/cgroup": self, mount2 + "/cgroup.controllers": "cpuset cpu io memory pids\n"}
		for k, v := range more {
			files[k] = v
		}
		return files
	}
	for _, c := range []struct {
		name  string
		files map[string]string
		place place
		home  string
		code  int
	}{
		{"none", map[string]string{"proc/self/cgroup": "0::/\n"}, place{}, "", exit.Unsupported},
		{"v1 below the own cgroup", map[string]string{
			"proc/self/cgroup":                    "9:name=systemd:/\n4:cpu,memory:/user.slice\n0::/\n",
			mount1 + "/memory.limit_in_bytes":     "9223372036854771712\n",
			mount1 + "/user.slice/cgroup.procs":   "1\n",
			mount1 + "/somewhere.else/tasks":      "",
			"sys/fs/cgroup/unified/cgroup.events": "",
		}, place{1, mount1 + "/user.slice"}, mount1 + "/user.slice", 0},
		{"v1 of another namespace", map[string]string{
			"proc/self/cgroup":                "4:memory:/../outside\n",
			mount1 + "/memory.limit_in_bytes": "9223372036854771712\n",
		}, place{1, mount1}, mount1, 0},
		{"v2 beside the own cgroup", v2("0::/user.slice/shell.scope\n", map[string]string{
			mount2 + "/cgroup.subtree_control":                        "cpu memory\n",
			mount2 + "/user.slice/cgroup.subtree_control":             "memory pids\n",
			mount2 + "/user.slice/shell.scope/cgroup.subtree_control": "\n",
		}), place{2, mount2 + "/user.slice"}, mount2 + "/user.slice/shell.scope", 0},
		{"v2 up to where memory is handed down", v2("0::/user.slice/shell.scope\n", map[string]string{
			mount2 + "/cgroup.subtree_control":                        "memory\n",
			mount2 + "/user.slice/cgroup.subtree_control":             "cpu\n",
			mount2 + "/user.slice/shell.scope/cgroup.subtree_control": "\n",
		}), place{2, mount2}, mount2 + "/user.slice/shell.scope", 0},
		{"v2 nowhere handed down", v2("0::/\n", map[string]string{mount2 + "/cgroup.subtree_control": "cpu\n"}), place{}, "", exit.Unsupported},
	} {
		where, home, err := find(tree(t, c.files))
		if got, _ := exit.Code(err); got != c.code {
			t.Errorf("%s: find = %v, want exit code %d", c.name, err, c.code)
			continue
		}
		if err == nil && (where != c.place || home != c.home) {
			t.Errorf("%s: find = %+v, %s, want %+v, %s", c.name, where, home, c.place, c.home)
		}
	}
}

func TestApply(t *testing.T) {
	limits := Limits{MemoryBytes: 160 << 20, SwapBytes: 1 << 30}
	for _, c := range []struct {
		version int
		have    []string
		want    map[string]string
		missing []string
	}{
		{1, []string{"memory.limit_in_bytes", "memory.memsw.limit_in_bytes"},
			map[string]string{"memory.limit_in_bytes": "167772160", "memory.memsw.limit_in_bytes": "1241513984"}, nil},
		{1, []string{"memory.limit_in_bytes"}, map[string]string{"memory.limit_in_bytes": "167772160"}, []string{"memory.memsw.limit_in_bytes"}},
		{2, []string{"memory.high", "memory.max", "memory.swap.max"},
			map[string]string{"memory.high": "157286400", "memory.max": "167772160", "memory.swap.max": "1073741824"}, nil},
		{2, []string{"memory.high", "memory.max"},
			map[string]string{"memory.high": "157286400", "memory.max": "167772160"}, []string{"memory.swap.max"}},
	} {
		files := map[string]string{}
		for _, name := range c.have {
			files["fence/"+name] = ""
		}
		root := tree(t, files)
		missing, err := apply(root.Path("fence"), limits.writes(c.version))
		if err != nil {
			t.Fatalf("v%d: %v", c.version, err)
		}
		if diff := cmp.Diff(c.missing, missing); diff != "" {
			t.Errorf("v%d with %v: missing limits (-want +got):\n%s", c.version, c.have, diff)
		}
		for name, want := range c.want {
			if got, _ := root.Text("fence", name); got != want {
				t.Errorf("v%d: %s = %s, want %s", c.version, name, got, want)
			}
		}
	}
	if _, err := apply(t.TempDir(), limits.writes(2)); err == nil {
		t.Error("apply without memory.max succeeded, want an error")
	}
}

func journal(t *testing.T) *undo.Journal {
	t.Helper()
	dir, err := undo.OpenDir("")
	if err != nil {
		t.Fatal(err)
	}
	j, err := undo.Open(dir, kernel.Root())
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// memoryCgroup is what the kernel says this process is in.
func memoryCgroup(t *testing.T) string {
	t.Helper()
	text, err := kernel.Root().Text("proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	return own(text, kernel.Root().CgroupVersion())
}

func fenceable(t *testing.T) {
	t.Helper()
	kerneltest.HostLock(t)
	t.Setenv(undo.DirEnv, t.TempDir())
	if _, _, err := find(kernel.Root()); err != nil {
		t.Skipf("skipped: %v", err)
	}
}

func TestEnterAndLeave(t *testing.T) {
	fenceable(t)
	j := journal(t)
	before := memoryCgroup(t)
	f, err := Enter(kernel.Root(), j, Limits{MemoryBytes: 1 << 30, SwapBytes: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := memoryCgroup(t), filepath.Base(f.Path()); filepath.Base(got) != want {
		t.Errorf("inside, the process is in %s, want %s", got, want)
	}
	limit := map[int]string{1: "memory.limit_in_bytes", 2: "memory.max"}[f.place.Version]
	if got, _ := os.ReadFile(filepath.Join(f.Path(), limit)); string(got) != "1073741824\n" {
		t.Errorf("%s = %q, want 1073741824", limit, got)
	}
	if live, _ := j.Live(); len(live) != 2 { // the fence and the snapshot
		t.Errorf("%d journal entries stand inside, want 2", len(live))
	}
	if err := f.Leave(); err != nil {
		t.Fatal(err)
	}
	if got := memoryCgroup(t); got != before {
		t.Errorf("afterwards the process is in %s, want %s", got, before)
	}
	if _, err := os.Stat(f.Path()); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", f.Path(), err)
	}
	if live, _ := j.Live(); len(live) != 0 {
		t.Errorf("%d journal entries stand afterwards, want 0", len(live))
	}
}

// TestKilledInside runs itself as a child that is killed behind its fence.
func TestKilledInside(t *testing.T) {
	const child = "MEMLINE_TEST_FENCE"
	if os.Getenv(child) != "" {
		f, err := Enter(kernel.Root(), journal(t), Limits{MemoryBytes: 1 << 30, SwapBytes: 1 << 30})
		if err != nil {
			t.Fatal(err)
		}
		os.WriteFile(os.Getenv(child), []byte(f.Path()), 0o600)
		kill(t, os.Getpid())
	}
	fenceable(t)
	told := filepath.Join(t.TempDir(), "path")
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilledInside$")
	cmd.Env = append(os.Environ(), child+"="+told)
	out, err := cmd.CombinedOutput()
	path, readErr := os.ReadFile(told)
	if err == nil || readErr != nil {
		t.Fatalf("the child was not killed behind its fence: %v, %v\n%s", err, readErr, out)
	}
	if _, err := os.Stat(string(path)); err != nil {
		t.Fatalf("a killed process cannot remove its fence, and yet: %v", err)
	}
	result, err := journal(t).Restore(t.Context(), undo.Plan{Reversers: map[string]undo.Reverser{Kind: Reverser(kernel.Root())}})
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Outcomes) != 1 || result.Outcomes[0].Target != string(path) {
		t.Errorf("Restore = %+v, want the fence %s", result.Outcomes, path)
	}
	if _, err := os.Stat(string(path)); !os.IsNotExist(err) {
		t.Errorf("%s is still there after restore: %v", path, err)
	}
}

func kill(t *testing.T, pid int) {
	t.Helper()
	p, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	p.Kill()
	select {}
}

func TestReverserLeavesOtherFoldersAlone(t *testing.T) {
	t.Setenv(undo.DirEnv, t.TempDir())
	j := journal(t)
	owner, err := undo.Self(kernel.Root())
	if err != nil {
		t.Fatal(err)
	}
	parent := t.TempDir()
	change, err := j.Begin(owner, Kind, place{Version: 1, Parent: parent})
	if err != nil {
		t.Fatal(err)
	}
	victim := filepath.Join(parent, "memline-"+change.ID())
	if err := os.Mkdir(victim, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Reverser(kernel.Root())(t.Context(), change); err == nil {
		t.Error("a folder outside /sys/fs/cgroup was accepted, want an error")
	}
	if _, err := os.Stat(victim); err != nil {
		t.Errorf("it was removed: %v", err)
	}
}

func TestMissingPrivilegeNamesTheFile(t *testing.T) {
	err := privilege("/sys/fs/cgroup/memory/x", os.ErrPermission)
	if code, _ := exit.Code(err); code != exit.Privilege || !strings.Contains(err.Error(), "/sys/fs/cgroup/memory/x") {
		t.Errorf("privilege = %v (code %d), want 77 and the file's name", err, code)
	}
}
