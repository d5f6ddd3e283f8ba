// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"memline/internal/exit"
	"memline/internal/kernel"
	"memline/internal/kernel/kerneltest"
	"memline/internal/record"
	"memline/internal/record/recordtest"
	"memline/internal/undo"
)

// on runs zramctl on the kernel below a root, and holds what it prints against its schema.
func on(t *testing.T, root kernel.FS, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	t.Setenv(undo.DirEnv, filepath.Join(t.TempDir(), "state"))
	var schema, out, errs bytes.Buffer
	if code := run(context.Background(), []string{"--schema"}, nil, &schema, io.Discard); code != 0 {
		t.Fatalf("--schema: exit %d", code)
	}
	compiled, err := recordtest.Schema(schema.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	code = runOn(t.Context(), root, args, nil, &out, &errs)
	if err := recordtest.CheckComplete(compiled, out.Bytes()); err != nil {
		t.Error(err)
	}
	return code, out.String(), errs.String()
}

// TestWithoutZram says on a host without zram what to do, except for restore, which has nothing to do with it.
func TestWithoutZram(t *testing.T) {
	root := kernel.At(t.TempDir())
	for name, text := range map[string]string{
		"proc/meminfo":                    "MemTotal: 8000000 kB\nMemAvailable: 4000000 kB\n",
		"proc/swaps":                      "Filename Type Size Used Priority\n",
		"proc/sys/kernel/random/boot_id":  "11111111-2222-3333-4444-555555555555\n",
		"proc/sys/kernel/something_other": "",
	} {
		path := root.Path(name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"status"}, {"create", "--size", "1M"}, {"destroy", "zram1"}, {"compact", "zram1"}, {"algorithms"}} {
		code, stdout, stderr := on(t, root, args...)
		if code != exit.Unsupported || !strings.Contains(stderr, "modprobe zram") || !strings.Contains(stdout, `"reason":"no_zram"`) {
			t.Errorf("zramctl %q: exit %d, stderr %q, want %d with the way out", args, code, stderr, exit.Unsupported)
		}
	}
	if code, _, stderr := on(t, root, "restore"); code != 0 {
		t.Errorf("zramctl restore: exit %d, stderr %q, want 0", code, stderr)
	}
	if code, stdout, _ := on(t, root, "create", "--size", "25%", "--swap", "--dry-run"); code != 0 || !strings.Contains(stdout, `"value":"2047999232"`) && !strings.Contains(stdout, `"value":"2048000000"`) {
		t.Errorf("zramctl create --dry-run: exit %d, stdout %s", code, stdout)
	}
}

// asUser runs zramctl without what root has: as nobody, or as root without a capability.
func asUser(t *testing.T, state string, prefix []string, args ...string) (code int, stderr string) {
	t.Helper()
	tool, err := exec.LookPath("bare-zramctl")
	if err != nil {
		t.Fatal(err)
	}
	// The tests' own folders are closed to others.
	dir, err := os.MkdirTemp("", "zramctl-user-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	text, err := os.ReadFile(tool)
	if err != nil {
		t.Fatal(err)
	}
	tool = filepath.Join(dir, "bare-zramctl")
	if err := os.WriteFile(tool, text, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(tool, args...)
	if prefix != nil {
		cmd = exec.Command(prefix[0], append(append(prefix[1:], tool), args...)...)
	} else {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	cmd.Env = append(os.Environ(), undo.DirEnv+"="+state)
	cmd.Dir = "/"
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), errs.String()
}

// TestUnprivileged names what is missing: for nobody the file that root may open, for a root without CAP_SYS_ADMIN that.
func TestUnprivileged(t *testing.T) {
	h := newHost(t)
	theirs, err := os.MkdirTemp("", "zramctl-state-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(theirs)
	if err := os.Chown(theirs, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		state  string
		prefix []string
		args   []string
		want   []string
	}{
		{"nobody, no state folder", "/run/memline-of-nobody", nil, []string{"create", "--size", "1M"}, []string{"/run/memline-of-nobody", "run as root or set MEMLINE_STATE_DIR"}},
		{"nobody", theirs, nil, []string{"create", "--size", "1M"}, []string{"/sys/class/zram-control/hot_add", "CAP_SYS_ADMIN"}},
		{"nobody, algorithms", theirs, nil, []string{"algorithms"}, []string{"hot_add", "CAP_SYS_ADMIN"}},
		{"nobody, root's state folder", os.Getenv(undo.DirEnv), nil, []string{"restore"}, []string{"belongs to user 0"}},
		{"root without CAP_SYS_ADMIN", os.Getenv(undo.DirEnv), []string{"setpriv", "--bounding-set=-sys_admin"}, []string{"create", "--size", "1M", "--swap"}, []string{"swapon", "CAP_SYS_ADMIN"}},
	} {
		if test.prefix != nil {
			if _, err := exec.LookPath(test.prefix[0]); err != nil {
				t.Logf("%s: %v", test.name, err)
				continue
			}
		}
		h.must("restore") // makes root's state folder
		code, stderr := asUser(t, test.state, test.prefix, test.args...)
		if code != exit.Privilege || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: exit %d, stderr %q, want %d and one line", test.name, code, stderr, exit.Privilege)
		}
		for _, want := range test.want {
			if !strings.Contains(stderr, want) {
				t.Errorf("%s: stderr %q, want %q", test.name, stderr, want)
			}
		}
		h.wantBefore(test.name)
	}
	if code, stderr := asUser(t, theirs, nil, "status"); code != 0 {
		t.Errorf("nobody, status: exit %d, stderr %q, want 0: reading is free", code, stderr)
	}
}

// TestLongestRecords fits the largest numbers and the longest labels into a line.
func TestLongestRecords(t *testing.T) {
	kernelNumber := int64(1)<<53 - 1
	var d device
	fill(reflect.ValueOf(&d).Elem(), kernelNumber)
	d.Device, d.Algorithm = "zram9999", strings.Repeat("x", 32)
	var out bytes.Buffer
	s, err := record.NewStream(&out, record.Options{Tool: "zramctl", RunID: strings.Repeat("r", 200), Labels: map[string]string{"k": strings.Repeat("l", 1000)}})
	if err != nil {
		t.Fatal(err)
	}
	s.Emit("device", d)
	if err := s.Err(); err != nil {
		t.Error(err)
	}
	t.Logf("%d bytes of %d", out.Len(), record.MaxLine)
}

// fill sets every number to the largest that the kernel could say.
func fill(v reflect.Value, n int64) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Int, reflect.Int64:
		v.SetInt(n)
	case reflect.Uint64:
		v.SetUint(uint64(n))
	case reflect.Float64:
		v.SetFloat(math.Pi * 1e5)
	case reflect.String:
		v.SetString(strings.Repeat("o", 40))
	}
}

// TestStatusWhileItGoes reads devices that come and go meanwhile: no error, no torn record.
func TestStatusWhileItGoes(t *testing.T) {
	h := newHost(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 8 {
			h.zramctl("algorithms").Run()
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
			h.must("status")
		}
	}
	h.wantBefore("at the end")
}

// TestRestoreCgroup removes what a killed process leaves of a fence: the kinds that zramctl undoes are not only its own.
func TestRestoreCgroup(t *testing.T) {
	kerneltest.Root(t)
	h := newHost(t)
	if kernel.Root().CgroupVersion() != 1 {
		t.Skip("skipped: made for cgroup v1")
	}
	dir, err := undo.OpenDir(undo.DefaultDir)
	if err != nil {
		t.Fatal(err)
	}
	j, err := undo.Open(dir, kernel.Root())
	if err != nil {
		t.Fatal(err)
	}
	owner := h.owner()
	o, err := undo.OwnerOf(kernel.Root(), owner.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	const parent = "sys/fs/cgroup/memory"
	change, err := j.Begin(o, "cgroup", map[string]any{"version": 1, "parent": parent})
	if err != nil {
		t.Fatal(err)
	}
	fence := kernel.Root().Path(parent, "memline-"+change.ID())
	if err := os.Mkdir(fence, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := change.Settle(nil); err != nil {
		t.Fatal(err)
	}
	end(owner)
	if out := h.must("restore", "-o", "table"); !strings.Contains(out, "undone: "+fence+", left by sleep (pid ") {
		t.Errorf("restore says %q", out)
	}
	if _, err := os.Stat(fence); err == nil {
		t.Errorf("%s is still there", fence)
		os.Remove(fence)
	}
	h.wantBefore("at the end")
}
