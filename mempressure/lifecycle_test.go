// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"memline/internal/cli"
	"memline/internal/kernel"
	"memline/internal/kernel/kerneltest"
	"memline/internal/kernel/swaptest"
	"memline/internal/undo"
)

// TestSignalInEveryPhase stops the run a moment after each phase began; wherever that meets it, the end is the same.
func TestSignalInEveryPhase(t *testing.T) {
	_, journal := swaptest.On(t, 256<<20)
	args := []string{"64M", "--pattern", "text", "--touch", "random", "--hold", "5ms", "--pageout", "--readback", "random", "--verify"}
	phases := []string{"fill", "touch", "hold", "pageout", "readback", "verify"}
	for _, phase := range phases {
		args = append(args, "--pause-after", phase)
	}
	for i, phase := range phases {
		for sig, want := range map[unix.Signal]int{unix.SIGINT: 130, unix.SIGTERM: 143} {
			p := tool(t, args...).Begin()
			for _, before := range phases[:i] {
				p.Until("ready", before)
				fmt.Fprintln(p.Input)
			}
			if i == 0 {
				p.Until("start", "")
			}
			time.Sleep(time.Duration(i) * 3 * time.Millisecond)
			p.Cmd.Process.Signal(sig)
			if got := p.End(); got != want {
				t.Errorf("%v in %s: exit status %d, want %d", sig, phase, got, want)
			}
			if end := p.Last("end", ""); end["reason"] != "signal" || end["complete"] != false {
				t.Errorf("%v in %s: end = %v, want reason signal, not complete", sig, phase, end)
			}
			if n := strings.Count(p.Stderr(), "\n"); n != 0 || p.Stderr() == "" {
				t.Errorf("%v in %s: stderr = %q, want one line", sig, phase, p.Stderr())
			}
			if live, err := journal.Live(); err != nil || standing(live) != 0 {
				t.Errorf("%v in %s: %d changes stand afterwards, %v, want 0", sig, phase, standing(live), err)
			}
		}
	}
}

func TestReaderGone(t *testing.T) {
	kerneltest.HostLock(t)
	journal := swaptest.Journal(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := tool(t, "8M", "--hold", "20s")
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
	if live, err := journal.Live(); err != nil || standing(live) != 0 {
		t.Errorf("%d changes stand afterwards, %v, want 0", standing(live), err)
	}
}

func TestFullDisk(t *testing.T) {
	kerneltest.HostLock(t)
	journal := swaptest.Journal(t)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skipf("skipped: %v", err)
	}
	defer full.Close()
	p := tool(t, "8M", "--hold", "20s")
	p.Cmd.Stdout = full
	p.Run()
	if got := p.ProcessState.ExitCode(); got != 1 || !strings.Contains(p.Stderr(), "no space left") {
		t.Errorf("on a full disk: exit status %d, stderr %q, want 1 and the reason", got, p.Stderr())
	}
	if live, err := journal.Live(); err != nil || standing(live) != 0 {
		t.Errorf("%d changes stand afterwards, %v, want 0", standing(live), err)
	}
}

func TestTwoAtOnce(t *testing.T) {
	kerneltest.HostLock(t)
	t.Setenv(undo.DirEnv, t.TempDir())
	t.Setenv(undo.LockEnv, "") // the two are no relatives
	first := tool(t, "4M", "--hold", "20s").Begin()
	first.Until("result", "fill")
	second := tool(t, "4M").Begin()
	if got := second.End(); got != 75 {
		t.Errorf("the second exits with %d, want 75: %s", got, second.Stderr())
	}
	if got := second.Last("error", "")["reason"]; got != "lock_held" {
		t.Errorf("the second's reason is %v, want lock_held", got)
	}
	third := tool(t, "4M", "--wait", "20s").Begin()
	time.Sleep(50 * time.Millisecond)
	first.Cmd.Process.Signal(unix.SIGTERM)
	first.End()
	if got := third.End(); got != 0 {
		t.Errorf("one that waits exits with %d, want 0: %s", got, third.Stderr())
	}

	// Interrupted while it waits it ends like anywhere else.
	holder := tool(t, "4M", "--hold", "20s").Begin()
	holder.Until("result", "fill")
	waiting := tool(t, "4M", "--wait", "20s").Begin()
	time.Sleep(100 * time.Millisecond)
	waiting.Cmd.Process.Signal(unix.SIGINT)
	if got := waiting.End(); got != 130 {
		t.Errorf("INT while waiting: exit status %d, want 130: %s", got, waiting.Stderr())
	}
}

func TestDiesWithItsParent(t *testing.T) {
	kerneltest.HostLock(t)
	swaptest.Journal(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out")
	parent := kerneltest.Tool(t, "bash", "-c", `(exec -a mempressure "$1" 8M --hold 1m >"$2" 2>"$2.err") & while ! grep -q result "$2" 2>/dev/null; do sleep 0.01; done; echo '{"event":"held"}'; wait`, "bash", exe, out)
	parent.Path = "/bin/bash"
	parent.Begin().Until("held", "")
	parent.Cmd.Process.Kill()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		text, _ := os.ReadFile(out)
		if bytes.Contains(text, []byte(`"event":"end"`)) {
			if !bytes.Contains(text, []byte(`"reason":"signal","exit_code":143`)) {
				t.Errorf("it ended otherwise than by the signal: %s", text)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("mempressure lives on after its parent: %s", text)
		}
	}
}

func TestUnprivileged(t *testing.T) {
	kerneltest.HostLock(t)
	nobody := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	p := tool(t, "8M", "--verify")
	p.SysProcAttr = nobody
	if got := p.Begin().End(); got != 0 {
		t.Fatalf("exit status %d, want 0: %s", got, p.Stderr())
	}
	if got := p.Last("start", "")["state_dir"]; got != nil {
		t.Errorf("state_dir = %v, want null", got)
	}
	if got := p.Last("warning", "")["reason"]; got != "no_state_dir" {
		t.Errorf("warning = %v, want no_state_dir", got)
	}

	p = tool(t, "8M", "--memory-limit", "64M")
	p.SysProcAttr = nobody
	if got := p.Begin().End(); got != 77 {
		t.Errorf("--memory-limit: exit status %d, want 77: %s", got, p.Stderr())
	}
	// With a state directory of its own the fence itself is what this user may not make.
	own := filepath.Join("/tmp", fmt.Sprintf("memline-test-%d", os.Getpid()))
	if err := os.Mkdir(own, 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(own)
	if err := os.Chown(own, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	p = tool(t, "8M", "--memory-limit", "64M")
	p.SysProcAttr = nobody
	p.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, undo.LockEnv) }), undo.DirEnv+"="+own)
	if got := p.Begin().End(); got != 77 || !strings.Contains(p.Stderr(), "/sys/fs/cgroup/") {
		t.Errorf("--memory-limit: exit status %d, stderr %q, want 77 and the file's name", got, p.Stderr())
	}
}

// TestGuardBrakes runs the phases in this process against a meminfo that the test writes.
func TestGuardBrakes(t *testing.T) {
	kerneltest.HostLock(t)
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "proc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/proc/self", filepath.Join(dir, "proc/self")); err != nil {
		t.Fatal(err)
	}
	meminfo, err := os.Create(filepath.Join(dir, "proc/meminfo"))
	if err != nil {
		t.Fatal(err)
	}
	defer meminfo.Close()
	set := func(availableMiB int) {
		meminfo.WriteAt(fmt.Appendf(nil, "MemTotal:  %10d kB\nMemAvailable:  %10d kB\n", 16<<20, availableMiB<<10), 0)
	}
	set(8000)
	var o options
	var stdout, stderr bytes.Buffer
	code := cli.Run(t.Context(), cli.Tool{Name: "mempressure", Events: events, Options: &o}, []string{"8M", "--hold", "30s"}, nil, &stdout, &stderr,
		func(ctx context.Context, env *cli.Env) error {
			s := &session{env: env, root: kernel.At(dir), options: &o}
			mem, err := s.root.Meminfo()
			if err != nil {
				return err
			}
			if s.plan, err = makePlan(&o, mem, nil); err != nil {
				return err
			}
			go func() {
				for env.Seq() == 0 { // the fill's result
					time.Sleep(time.Millisecond)
				}
				set(300)
			}()
			return s.guarded(ctx)
		})
	if code != 75 {
		t.Errorf("exit status %d, want 75", code)
	}
	for _, want := range []string{`"event":"progress"`, `"reason":"guard","detail":"the guard braked: only 300 MiB are available`,
		`in hold, with 8 of 8 MiB`, `"reason":"guard","exit_code":75,"complete":false`} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("stdout lacks %s:\n%s", want, stdout.String())
		}
	}
}
