// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"memline/internal/record/recordtest"
)

var update = flag.Bool("update", false, "rewrite the made-up runs in testdata")

// TestFixtures keeps the runs that the scripts read equal to what the tests make.
func TestFixtures(t *testing.T) {
	few, alike := usual(), usual()
	few.rounds = 5
	alike.contenders = alike.contenders[:2]
	for name, want := range map[string][]byte{
		"winner.ndjson":    usual().records(),
		"alike.ndjson":     alike.records(),
		"few.ndjson":       few.records(),
		"userspace.ndjson": inUserSpace().codecs(),
	} {
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what the test makes; run go test ./summarize -run Fixtures -update", path)
		}
	}
}

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"summarize": recordtest.Command(run)})
}

// TestScripts runs testdata/script with the fixtures in the scripts' folder.
func TestScripts(t *testing.T) {
	recordtest.Scripts(t, func(env *testscript.Env) error {
		files, err := filepath.Glob("testdata/*.ndjson")
		if err != nil {
			return err
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(env.WorkDir, filepath.Base(file)), content, 0o644); err != nil {
				return err
			}
		}
		return nil
	})
}
