// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"memline/internal/cli"
	"memline/internal/kernel"
	"memline/internal/kernel/kerneltest"
	"memline/internal/undo"
)

func begin(t *testing.T, args ...string) *kerneltest.Process {
	t.Helper()
	return kerneltest.Tool(t, "memlock", args...).Begin()
}

func TestSignalAfterReadyIsSuccess(t *testing.T) {
	kerneltest.Root(t)
	t.Setenv(undo.DirEnv, t.TempDir())
	for _, sig := range []unix.Signal{unix.SIGINT, unix.SIGTERM} {
		p := begin(t, "32M")
		p.Until("ready", "")
		status, err := kernel.Root().Status(p.Cmd.Process.Pid)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := float64(status.LockedBytes), p.Last("ready", "")["locked_bytes"]; got != want {
			t.Errorf("VmLck = %v, want the %v that ready said", got, want)
		}
		p.Cmd.Process.Signal(sig)
		if got := p.End(); got != 0 {
			t.Errorf("%v after ready: exit status %d, want 0", sig, got)
		}
		if got := p.Last("end", "")["reason"]; got != "signal" {
			t.Errorf("%v after ready: end.reason = %v, want signal", sig, got)
		}
	}
}

func TestSignalBeforeReady(t *testing.T) {
	kerneltest.Root(t)
	t.Setenv(undo.DirEnv, t.TempDir())
	if m, err := kernel.Root().Meminfo(); err != nil || m.AvailableBytes < 6<<30 {
		t.Skipf("skipped: needs 6 GiB available to be still locking when the signal comes, has %d (%v)", m.AvailableBytes, err)
	}
	for sig, want := range map[unix.Signal]int{unix.SIGINT: 130, unix.SIGTERM: 143} {
		p := begin(t, "4G")
		p.Until("progress", "")
		p.Cmd.Process.Signal(sig)
		if got := p.End(); got != want {
			t.Errorf("%v before ready: exit status %d, want %d", sig, got, want)
		}
		if got := p.Last("end", "")["reason"]; got != "signal" {
			t.Errorf("%v before ready: end.reason = %v, want signal", sig, got)
		}
		if !strings.Contains(p.Stderr(), "of 4096 MiB had been locked") {
			t.Errorf("stderr = %q, want what had been locked", p.Stderr())
		}
	}
}

func TestReaderGone(t *testing.T) {
	kerneltest.Root(t)
	t.Setenv(undo.DirEnv, t.TempDir())
	p := kerneltest.Tool(t, "memlock", "16M")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.Cmd.Stdout = w
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	r.Read(make([]byte, 4096))
	r.Close()
	p.Wait()
	if got := p.ProcessState.ExitCode(); got != 141 {
		t.Errorf("exit status %d after the reader went away, want 141: %s", got, p.Stderr())
	}
}

func TestFullDisk(t *testing.T) {
	kerneltest.Root(t)
	t.Setenv(undo.DirEnv, t.TempDir())
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skipf("skipped: %v", err)
	}
	defer full.Close()
	p := kerneltest.Tool(t, "memlock", "16M", "--hold", "10s")
	p.Cmd.Stdout = full
	p.Run()
	if got := p.ProcessState.ExitCode(); got != 1 {
		t.Errorf("exit status %d on a full disk, want 1", got)
	}
	if !strings.Contains(p.Stderr(), "no space left") {
		t.Errorf("stderr = %q, want no space left", p.Stderr())
	}
}

func TestDiesWithItsParent(t *testing.T) {
	kerneltest.Root(t)
	dir := t.TempDir()
	t.Setenv(undo.DirEnv, dir)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out")
	parent := kerneltest.Tool(t, "bash", "-c", `(exec -a memlock "$1" 16M >"$2") & while ! grep -q ready "$2" 2>/dev/null; do sleep 0.01; done; echo '{"event":"held"}'; wait`, "bash", exe, out)
	parent.Path = "/bin/bash"
	parent.Begin().Until("held", "")
	parent.Cmd.Process.Kill()
	deadline := time.Now().Add(10 * time.Second)
	for {
		text, _ := os.ReadFile(out)
		if bytes.Contains(text, []byte(`"event":"end"`)) {
			if !bytes.Contains(text, []byte(`"reason":"signal","exit_code":0`)) {
				t.Errorf("memlock ended otherwise than by the signal: %s", text)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("memlock lives on after its parent: %s", text)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestKilledHolderIsRestored(t *testing.T) {
	kerneltest.Root(t)
	t.Setenv(undo.DirEnv, t.TempDir())
	p := begin(t, "16M")
	p.Until("ready", "")
	dir, err := undo.OpenDir("")
	if err != nil {
		t.Fatal(err)
	}
	j, err := undo.Open(dir, kernel.Root())
	if err != nil {
		t.Fatal(err)
	}
	live := func() int {
		t.Helper()
		changes, err := j.Live()
		if err != nil {
			t.Fatal(err)
		}
		return len(changes)
	}
	if got := live(); got != 1 {
		t.Fatalf("%d changes stand while memlock holds, want 1", got)
	}
	p.Cmd.Process.Kill()
	if got, want := p.End(), 128+9; got != want {
		t.Fatalf("exit status %d, want %d", got, want)
	}
	if _, err := j.Restore(t.Context(), undo.Plan{}); err != nil {
		t.Fatal(err)
	}
	if got := live(); got != 0 {
		t.Errorf("%d changes stand after restore, want 0", got)
	}
}

func TestUnprivileged(t *testing.T) {
	kerneltest.Root(t)
	nobody := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	p := kerneltest.Tool(t, "memlock", "1G")
	p.SysProcAttr = nobody
	if got := p.Begin().End(); got != 77 {
		t.Fatalf("exit status %d, want 77: %s", got, p.Stderr())
	}
	if !strings.Contains(p.Stderr(), "RLIMIT_MEMLOCK is") || strings.Count(p.Stderr(), "\n") != 0 {
		t.Errorf("stderr = %q, want one line that names RLIMIT_MEMLOCK", p.Stderr())
	}
	if got := p.Last("start", "")["state_dir"]; got != nil {
		t.Errorf("state_dir = %v, want null", got)
	}
	if got := p.Last("warning", "")["reason"]; got != "no_state_dir" {
		t.Errorf("warning = %v, want no_state_dir", got)
	}

	p = kerneltest.Tool(t, "memlock", "1G", "--best-effort", "--hold", "1ms")
	p.SysProcAttr = nobody
	if got := p.Begin().End(); got != 0 {
		t.Fatalf("best effort: exit status %d, want 0: %s", got, p.Stderr())
	}
	if got := p.Last("warning", "")["reason"]; got != "short" {
		t.Errorf("best effort: warning = %v, want short", got)
	}
	limit, locked := p.Last("start", "")["limit_bytes"].(float64), p.Last("ready", "")["locked_bytes"].(float64)
	if locked > limit || locked+float64(kernel.PageSize()) <= limit {
		t.Errorf("best effort: %v bytes locked, want as many whole pages as the limit of %v takes", locked, limit)
	}
}

// fakeMemory is a root whose meminfo the test writes; the process's own files are the real ones.
func fakeMemory(t *testing.T, availableMiB int) (root kernel.FS, set func(availableMiB int)) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "proc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/proc/self", filepath.Join(dir, "proc/self")); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(dir, "proc/meminfo"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	set = func(availableMiB int) { // in one write of the same length, as the kernel's file never is half written
		f.WriteAt(fmt.Appendf(nil, "MemTotal:  %10d kB\nMemAvailable:  %10d kB\n", 16<<20, availableMiB<<10), 0)
	}
	set(availableMiB)
	return kernel.At(dir), set
}

func TestGuardReleasesWhatIsHeld(t *testing.T) {
	kerneltest.Root(t)
	root, set := fakeMemory(t, 8000)
	var o options
	var stdout, stderr bytes.Buffer
	code := cli.Run(t.Context(), cli.Tool{Name: "memlock", Events: events, Options: &o}, []string{"16M"}, nil, &stdout, &stderr,
		func(ctx context.Context, env *cli.Env) error {
			h := &holding{env: env, root: root, options: &o, plan: plan{LockBytes: 16 << 20, FloorBytes: 1000 << 20}}
			go func() {
				for env.Seq() == 0 { // ready is the first record here
					time.Sleep(time.Millisecond)
				}
				set(900)
			}()
			return h.run(ctx)
		})
	if code != 75 {
		t.Errorf("exit status %d after a neighbour took the memory, want 75", code)
	}
	for _, want := range []string{`"event":"released","run_id"`, `"reason":"guard","detail":"the guard braked: only 900 MiB are available`,
		`"reason":"guard","exit_code":75,"complete":false`} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("stdout lacks %s:\n%s", want, stdout.String())
		}
	}
	if got, err := kernel.Root().Status(0); err != nil || got.LockedBytes != 0 {
		t.Errorf("VmLck = %d, %v after the guard braked, want 0", got.LockedBytes, err)
	}
}
