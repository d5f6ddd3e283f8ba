// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"runtime"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"memline/internal/kernel"
	"memline/internal/kernel/kerneltest"
	"memline/internal/record/recordtest"
	"memline/internal/undo"
	"memline/internal/zram"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"zramctl": recordtest.Command(run),
		// The tool without the checks around it, for tests that kill it, all on one thread, whose calls strace counts.
		"bare-zramctl": func() {
			runtime.LockOSThread()
			os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
		},
	})
}

func TestScripts(t *testing.T) {
	if os.Geteuid() == 0 { // the others make nothing
		kerneltest.HostLock(t)
	}
	recordtest.Scripts(t, func(e *testscript.Env) error {
		state := e.WorkDir + "/state"
		e.Setenv(undo.DirEnv, state)
		e.Defer(func() { sweep(t, state) })
		return nil
	})
}

// sweep takes away what a failed test has left standing in a journal.
func sweep(t *testing.T, state string) {
	t.Helper()
	if _, err := os.Stat(state); err != nil {
		return
	}
	dir, err := undo.OpenDir(state)
	if err != nil {
		return // made by the test to be refused
	}
	j, err := undo.Open(dir, kernel.Root())
	if err != nil {
		t.Fatal(err)
	}
	live, err := j.Live()
	if err != nil {
		t.Fatal(err)
	}
	reverse := zram.Reverser(kernel.Root(), j)
	for _, change := range live {
		if change.Entry().Kind == zram.Kind {
			target, err := reverse(context.Background(), change)
			t.Errorf("left standing: %s (%v)", target, err)
		}
	}
}
