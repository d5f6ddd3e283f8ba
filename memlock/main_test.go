// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"memline/internal/record/recordtest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"memlock": recordtest.Command(run)})
}

func TestScripts(t *testing.T) {
	recordtest.Scripts(t, func(e *testscript.Env) error {
		e.Setenv("MEMLINE_STATE_DIR", e.WorkDir+"/state")
		return nil
	})
}
