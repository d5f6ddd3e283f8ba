// SPDX-License-Identifier: Apache-2.0

// Package docs holds the tests that keep the documents true: the event reference is what the tools say of themselves, and
// every command in the README runs.
package docs

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"memline/internal/kernel/kerneltest"
)

var update = flag.Bool("update", false, "rewrite events.md from the tools' schemas")

var tools = []string{"memlock", "mempressure", "zramctl", "arenabench", "summarize"}

// build puts the tools into a folder of the test's and returns it.
func build(t *testing.T) string {
	t.Helper()
	bin := t.TempDir()
	args := []string{"build", "-o", bin + "/"}
	for _, tool := range tools {
		args = append(args, "../"+tool)
	}
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %v: %v\n%s", args, err, out)
	}
	return bin
}

// TestEvents keeps events.md equal to what the tools' schemas say; -update rewrites it.
func TestEvents(t *testing.T) {
	bin := build(t)
	var want bytes.Buffer
	want.WriteString("# Events\n\nGenerated from each tool's `--schema` by `go test ./docs -update`; do not edit. Every record starts with the envelope\n" +
		"`ts tool event run_id proc seq mono_ns` and ends with `labels` where there are any; see the contract of the suite in method.md.\n")
	for _, tool := range tools {
		schema, err := exec.Command(filepath.Join(bin, tool), "--schema").Output()
		if err != nil {
			t.Fatalf("%s --schema: %v", tool, err)
		}
		if err := describe(&want, tool, schema); err != nil {
			t.Fatalf("%s: %v", tool, err)
		}
	}
	if *update {
		if err := os.WriteFile("events.md", want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile("events.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Error("docs/events.md is not what the tools say; run go test ./docs -run TestEvents -update")
	}
}

var envelope = []string{"ts", "tool", "event", "run_id", "proc", "seq", "mono_ns", "labels"}

func describe(w *bytes.Buffer, tool string, schema []byte) error {
	var doc struct{ OneOf []json.RawMessage }
	if err := json.Unmarshal(schema, &doc); err != nil {
		return err
	}
	fmt.Fprintf(w, "\n## %s\n", tool)
	for _, raw := range doc.OneOf {
		var event struct {
			Title, Description string
			Properties         json.RawMessage
			PatternProperties  map[string]any
		}
		if err := json.Unmarshal(raw, &event); err != nil {
			return err
		}
		fmt.Fprintf(w, "\n### %s `%s`\n\n%s.\n\n| field | type | meaning |\n|---|---|---|\n", tool, event.Title, event.Description)
		if err := fields(w, event.Properties); err != nil {
			return err
		}
		for pattern := range event.PatternProperties {
			fmt.Fprintf(w, "| `%s` | number or null | keys of this form |\n", pattern)
		}
	}
	return nil
}

// fields writes a line a property, in the schema's order, which encoding/json's maps would lose.
func fields(w *bytes.Buffer, properties json.RawMessage) error {
	dec := json.NewDecoder(bytes.NewReader(properties))
	if _, err := dec.Token(); err != nil {
		return err
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		var p struct {
			Type        any
			Description string
			Enum        []string
			Kernel      string `json:"x-kernel"`
		}
		if err := dec.Decode(&p); err != nil {
			return err
		}
		if slices.Contains(envelope, key.(string)) {
			continue
		}
		kind := strings.NewReplacer("[", "", "]", "", " ", " or ").Replace(fmt.Sprint(p.Type))
		meaning := strings.ReplaceAll(p.Description, "|", "\\|")
		if p.Enum != nil {
			meaning += " (" + strings.Join(p.Enum, ", ") + ")"
		}
		if p.Kernel != "" {
			meaning += "; from " + p.Kernel
		}
		fmt.Fprintf(w, "| `%s` | %s | %s |\n", key, kind, meaning)
	}
	return nil
}

// TestReadme runs every command of the README's shell blocks: the lines that start with "$ ". make test is left out, since
// it is what runs this test; a line ending in "# exits N" must exit with N.
func TestReadme(t *testing.T) {
	kerneltest.Zram(t)
	kerneltest.HostLock(t)
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	top, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	bin := build(t)
	commands := 0
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllSubmatch(readme, -1) {
		for line := range strings.Lines(string(block[1])) {
			command, ok := strings.CutPrefix(strings.TrimSpace(line), "$ ")
			if !ok || command == "make test" {
				continue
			}
			commands++
			want := 0
			if before, code, ok := strings.Cut(command, "# exits "); ok {
				command = before
				fmt.Sscan(code, &want)
			}
			t.Run(command, func(t *testing.T) { runCommand(t, top, bin, command, want) })
		}
	}
	if commands < 5 {
		t.Errorf("found %d commands in the README; its blocks are not read", commands)
	}
}

func runCommand(t *testing.T, top, bin, command string, want int) {
	cmd := exec.Command("bash", "-o", "pipefail", "-c", command)
	cmd.Dir = top
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != want {
		t.Errorf("exit code %d, want %d:\n%s", got, want, out.Bytes())
	}
}
