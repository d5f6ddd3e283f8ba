// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"memline/internal/exit"
)

func TestTimeout(t *testing.T) {
	for what, code := range map[string]int{"wait": 124, "bare": 124, "observe": 0, "done": 0} {
		got := finish(t, toy("do", what, "--timeout", "50ms"))
		want := map[int]string{124: "timeout", 0: "done"}[code]
		if end := last(t, got.stdout); got.code != code || end["reason"] != want {
			t.Errorf("%s: exit %d, end %v, want %d, %s", what, got.code, end, code, want)
		}
		if code == 124 && !strings.Contains(got.stderr, "--timeout 50ms ran out") {
			t.Errorf("%s: stderr %q", what, got.stderr)
		}
	}
}

func TestSignals(t *testing.T) {
	for _, test := range []struct {
		what   string
		signal syscall.Signal
		code   int
	}{
		{"wait", unix.SIGINT, 130}, {"wait", unix.SIGTERM, 143}, {"wait", unix.SIGHUP, 143}, {"bare", unix.SIGINT, 130}, {"bare", unix.SIGTERM, 143},
		{"observe", unix.SIGINT, 0}, {"observe", unix.SIGTERM, 0},
	} {
		cmd, stdout, stderr, wait := started(t, "do", test.what)
		cmd.Process.Signal(test.signal)
		code := wait()
		if end := last(t, stdout.String()); code != test.code || end["reason"] != "signal" || end["exit_code"] != float64(test.code) || end["complete"] != (code == 0) {
			t.Errorf("%s, %s: exit %d, end %v, want %d", test.what, test.signal, code, end, test.code)
		}
		if code == 0 && stderr.Len() != 0 {
			t.Errorf("%s, %s: stderr %q, want nothing", test.what, test.signal, stderr)
		}
	}
}

// TestSecondInterrupt leaves at once; the undo journal covers the rest.
func TestSecondInterrupt(t *testing.T) {
	cmd, _, _, wait := started(t, "do", "stuck")
	done := make(chan int, 1)
	go func() { done <- wait() }()
	cmd.Process.Signal(unix.SIGTERM) // is asked politely, and does not listen
	for {
		select {
		case code := <-done:
			if code != 128+int(unix.SIGINT) {
				t.Errorf("exit %d, want killed by INT", code)
			}
			return
		case <-time.After(20 * time.Millisecond):
			cmd.Process.Signal(unix.SIGINT)
		}
	}
}

// TestIgnoredSignals keeps HUP ignored under nohup, but not INT, which a shell ignores for its background processes.
func TestIgnoredSignals(t *testing.T) {
	cmd := toy()
	script := exec.Command("bash", "-c", `trap "" HUP INT; "$0" do wait & pid=$!
		while ! grep -q '"ready"' "$1"; do sleep 0.01; done
		kill -HUP $pid; sleep 0.1; kill -0 $pid || echo "HUP ended it"
		kill -INT $pid; wait $pid; echo $?`, os.Args[0], t.TempDir()+"/out")
	script.Args[2] = strings.Replace(script.Args[2], "do wait &", `do wait >"$1" 2>/dev/null &`, 1)
	script.Env = cmd.Env
	if out, err := script.CombinedOutput(); err != nil || string(out) != "130\n" {
		t.Errorf("HUP and then INT, both ignored by the parent: %q, %v, want only INT to end it, with 130", out, err)
	}
}

func TestReaderGone(t *testing.T) {
	for _, what := range []string{"flood", "wait"} { // one that writes, one that would not notice by itself
		t.Run(what, func(t *testing.T) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			cmd := toy("do", what)
			cmd.Stdout = w
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			w.Close()
			io.ReadFull(r, make([]byte, 100))
			r.Close()
			cmd.Wait()
			if code := codeOf(cmd); code != exit.ReaderGone {
				t.Errorf("exit %d, stderr %q, want %d", code, &stderr, exit.ReaderGone)
			}
			if failed := strings.Contains(stderr.String(), "clean-up failed"); failed != (what == "flood") {
				t.Errorf("stderr %q: only a failed clean-up is worth a line", &stderr)
			}
		})
	}
}

func TestFullDisk(t *testing.T) {
	for _, args := range [][]string{{"do", "done"}, {"do", "flood"}, {"do", "print", "-o", "table"}} {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Skipf("skipped: %v", err)
		}
		cmd := toy(args...)
		cmd.Stdout = full
		got := finish(t, cmd)
		full.Close()
		if got.code != 1 || !strings.Contains(got.stderr, "no space left on device") {
			t.Errorf("toy %q on a full disk: exit %d, stderr %q, want 1 and the reason", args, got.code, got.stderr)
		}
	}
}

func TestTableReaderGone(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r.Close()
	cmd := toy("do", "print", "-o", "table")
	cmd.Stdout = w
	if got := finish(t, cmd); got.code != exit.ReaderGone {
		t.Errorf("exit %d, stderr %q, want %d", got.code, got.stderr, exit.ReaderGone)
	}
}
