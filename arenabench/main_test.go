// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"memline/internal/record/recordtest"
	"memline/internal/undo"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"arenabench": recordtest.Command(run)})
}

// TestScripts gives each script a state folder of its own: no script judges a time, so none has to wait for those who do.
func TestScripts(t *testing.T) {
	recordtest.Scripts(t, func(env *testscript.Env) error {
		env.Setenv(undo.DirEnv, env.WorkDir+"/state")
		return nil
	})
}
