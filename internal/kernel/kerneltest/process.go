// SPDX-License-Identifier: Apache-2.0

package kerneltest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Process is a tool that runs as a process of its own: the test binary under the tool's name, as testscript.Main runs it.
type Process struct {
	*exec.Cmd
	Input io.WriteCloser // the tool's stdin

	t      testing.TB
	mu     sync.Mutex
	stdout bytes.Buffer
	stderr bytes.Buffer
	lines  chan record
	ended  chan struct{}
}

type record struct {
	Event string
	Phase string
}

// Tool prepares a tool; Start it.
func Tool(t testing.TB, name string, args ...string) *Process {
	t.Helper()
	p := &Process{Cmd: exec.Command("/proc/self/exe", args...), t: t, lines: make(chan record, 4096), ended: make(chan struct{})}
	p.Args[0] = name
	p.Cmd.Stderr = &p.stderr
	return p
}

// Begin starts the tool, and kills it at the end of the test.
func (p *Process) Begin() *Process {
	p.t.Helper()
	out, err := p.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if p.Input, err = p.StdinPipe(); err != nil {
		p.t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		defer close(p.lines)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			p.mu.Lock()
			p.stdout.Write(lines.Bytes())
			p.stdout.WriteByte('\n')
			p.mu.Unlock()
			var r record
			if json.Unmarshal(lines.Bytes(), &r) == nil {
				p.lines <- r
			}
		}
	}()
	p.t.Cleanup(func() {
		if p.ProcessState == nil {
			p.Cmd.Process.Kill()
			<-p.ended
			p.Wait()
		}
	})
	return p
}

// Until waits for a record with this event, of this phase unless it is empty.
func (p *Process) Until(event, phase string) {
	p.t.Helper()
	late := time.After(30 * time.Second)
	for {
		select {
		case r, ok := <-p.lines:
			if !ok {
				p.t.Fatalf("%s ended before its %s %s: %s%s", p.Args[0], event, phase, p.Stdout(), p.stderr.String())
			}
			if r.Event == event && (phase == "" || r.Phase == phase) {
				return
			}
		case <-late:
			p.t.Fatalf("%s: no %s %s in 30s: %s", p.Args[0], event, phase, p.Stdout())
		}
	}
}

// End waits for the tool's end and returns its exit status, 128+signal where one killed it.
func (p *Process) End() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(30 * time.Second):
		p.t.Fatalf("%s did not end in 30s: %s", p.Args[0], p.Stdout())
	}
	err := p.Wait()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		p.t.Fatal(err)
	}
	if code := p.ProcessState.ExitCode(); code >= 0 {
		return code
	}
	return 128 + signalOf(p.ProcessState)
}

// Stdout is what the tool has written so far.
func (p *Process) Stdout() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bytes.Clone(p.stdout.Bytes())
}

// Stderr is what the tool has written for people; read it after End.
func (p *Process) Stderr() string { return strings.TrimSpace(p.stderr.String()) }

// Last returns the last record of an event and phase (empty for any) as a map.
func (p *Process) Last(event, phase string) map[string]any {
	p.t.Helper()
	var found map[string]any
	for line := range bytes.Lines(p.Stdout()) {
		var r map[string]any
		if json.Unmarshal(line, &r) == nil && r["event"] == event && (phase == "" || r["phase"] == phase) {
			found = r
		}
	}
	if found == nil {
		p.t.Fatalf("%s wrote no %s %s: %s%s", p.Args[0], event, phase, p.Stdout(), p.stderr.String())
	}
	return found
}

func signalOf(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return int(status.Signal())
	}
	return 0
}
