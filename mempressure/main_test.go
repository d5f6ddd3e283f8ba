// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"memline/internal/kernel/kerneltest"
	"memline/internal/record/recordtest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"mempressure": recordtest.Command(run)})
}

func TestScripts(t *testing.T) {
	kerneltest.HostLock(t) // so that nobody else's swap is counted
	recordtest.Scripts(t, func(e *testscript.Env) error {
		e.Setenv("MEMLINE_STATE_DIR", e.WorkDir+"/state")
		return nil
	})
}
