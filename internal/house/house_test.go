// SPDX-License-Identifier: Apache-2.0

// Package house holds the tests that keep the repository's rules: its layout, who may import whom, and what a record's
// keys look like.
package house

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

var tools = []string{"memlock", "mempressure", "zramctl", "swapprobe", "faultprobe", "arenabench", "allocbench", "summarize"}

// files returns the paths from the root that git tracks or would track.
func files(t *testing.T, suffix string) []string {
	t.Helper()
	cmd := exec.Command("git", "ls-files", "--cached", "--others", "--exclude-standard")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	var paths []string
	for path := range strings.Lines(string(out)) {
		path = strings.TrimSpace(path)
		if _, err := os.Stat(filepath.Join(root, path)); err == nil && strings.HasSuffix(path, suffix) {
			paths = append(paths, path)
		}
	}
	return paths
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func isTest(path string) bool {
	return strings.HasSuffix(path, "_test.go") || strings.Contains(path, "test/")
}

func parse(t *testing.T, path string) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, path), nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestTopLevel(t *testing.T) {
	allowed := append([]string{"internal", "scripts", "docs", "go.mod", "go.sum", "Makefile", "README.md", "LICENSE",
		"CHANGELOG.md", ".ci", ".gitignore"}, tools...)
	for _, path := range files(t, "") {
		top, _, _ := strings.Cut(path, "/")
		if !slices.Contains(allowed, top) {
			t.Errorf("%s: %q is not in the contract's layout", path, top)
		}
	}
}

func TestPackages(t *testing.T) {
	documented := map[string]bool{}
	for _, path := range files(t, ".go") {
		f := parse(t, path)
		dir := filepath.Dir(path)
		documented[dir] = documented[dir] || f.Doc != nil
		switch f.Name.Name {
		case "util", "utils", "common", "helpers", "misc", "base":
			t.Errorf("%s: package %s is a drawer, not a noun", path, f.Name.Name)
		}
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("%s: no package comment", dir)
		}
	}
}

func TestImports(t *testing.T) {
	users := map[string]map[string]bool{}
	for _, path := range files(t, ".go") {
		dir := filepath.Dir(path)
		for _, spec := range parse(t, path).Imports {
			imported := strings.Trim(spec.Path.Value, `"`)
			if imported == "log" {
				t.Errorf("%s imports log; people read stderr, programs read records", path)
			}
			own, ok := strings.CutPrefix(imported, "memline/")
			if !ok {
				continue
			}
			if slices.Contains(tools, strings.SplitN(own, "/", 2)[0]) {
				t.Errorf("%s imports the tool %s", path, own)
			}
			if own != dir {
				if users[own] == nil {
					users[own] = map[string]bool{}
				}
				users[own][dir] = true
			}
		}
	}
	rooms, err := filepath.Glob(filepath.Join(root, "internal/*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, room := range rooms {
		dir := "internal/" + filepath.Base(room)
		if dir != "internal/house" && len(users[dir]) < 2 {
			t.Errorf("%s has %d users; a room is built when its second user moves in", dir, len(users[dir]))
		}
	}
}

func TestSource(t *testing.T) {
	for _, path := range files(t, "") {
		ext := filepath.Ext(path)
		if ext != ".go" && ext != ".sh" && ext != ".c" && path != ".ci/run" {
			continue
		}
		text := read(t, path)
		if !bytes.Contains(text[:min(len(text), 200)], []byte("SPDX-License-Identifier: Apache-2.0")) {
			t.Errorf("%s: no SPDX licence line", path)
		}
		if m := regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME)\b`).Find(text); m != nil {
			t.Errorf("%s: %s left in the code", path, m)
		}
		if ext == ".sh" && !bytes.Contains(text, []byte("\nset -euo pipefail\n")) {
			t.Errorf("%s: not under set -euo pipefail", path)
		}
		if lines := bytes.Count(text, []byte("\n")); lines > 500 && !isTest(path) {
			t.Errorf("%s: %d lines, at most 500 can be read alone", path, lines)
		}
	}
}

// TestMainOnlyParses keeps main.go to the kong struct, its validation, the events, run and main, and exits and standard streams to it.
func TestMainOnlyParses(t *testing.T) {
	for _, path := range files(t, ".go") {
		if isTest(path) {
			continue
		}
		f := parse(t, path)
		inMain := filepath.Base(path) == "main.go"
		for _, decl := range f.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if fn.Name.Name == "init" && fn.Recv == nil {
				t.Errorf("%s: init does work before main decides", path)
			}
			if inMain && !slices.Contains([]string{"main", "run", "runOn", "events", "validate"}, fn.Name.Name) {
				t.Errorf("%s: %s belongs into a file named by its idea", path, fn.Name.Name)
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok || inMain {
				return true
			}
			pkg, ok := sel.X.(*ast.Ident)
			if !ok {
				return true
			}
			name := pkg.Name + "." + sel.Sel.Name
			switch name {
			case "os.Exit", "os.Stdout", "os.Stderr", "os.Stdin", "fmt.Print", "fmt.Println", "fmt.Printf":
				t.Errorf("%s: %s outside main.go", path, name)
			}
			return true
		})
	}
}

func TestModule(t *testing.T) {
	mod := string(read(t, "go.mod"))
	if !strings.Contains(mod, "\ngo 1.25") {
		t.Error("go.mod asks for another Go than 1.25, which the README promises")
	}
	if strings.Contains(mod, "\nreplace") {
		t.Error("go.mod has a replace directive")
	}
	deps := string(read(t, "docs/dependencies.md"))
	for line := range strings.Lines(mod) {
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if len(fields) == 2 && strings.Contains(fields[0], ".") && strings.HasPrefix(fields[1], "v") && !strings.Contains(deps, "`"+fields[0]+"`") {
			t.Errorf("docs/dependencies.md does not say why %s is needed", fields[0])
		}
	}
}

// units are the endings that numeric keys have; words are the counts and names that need none.
var (
	units = regexp.MustCompile(`_(bytes|pages|ns|seconds|per_second|percent|fraction|ratio|relative)$`)
	words = regexp.MustCompile(`^(v|pid|seq|mono_ns|cpus|cpu|exit_code|records|warnings|dropped|cgroup_version|seed|count|nulls|sum|mean|stddev|min|max|lines|used|ignored|bad|truncated|pages|bytes|part|parts|scale|zero_count|priority|workers|passes|page|offset|order|line|rank|expected|found)$|_(pid|count|faults|switches|rounds|priority|ticks|version|factor|passes|workers|part|parts)$`)
)

// TestRecordKeys holds every tool's schema to the rules for keys: snake_case, the unit last.
func TestRecordKeys(t *testing.T) {
	for _, tool := range tools {
		if _, err := os.Stat(filepath.Join(root, tool, "main.go")); err != nil {
			continue
		}
		cmd := exec.Command("go", "run", "./"+tool, "--schema")
		cmd.Dir = root
		out, err := cmd.Output()
		if err != nil {
			t.Errorf("%s --schema: %v", tool, err)
			continue
		}
		var schema struct {
			OneOf []struct {
				Title      string
				Properties map[string]property
			}
		}
		if err := json.Unmarshal(out, &schema); err != nil {
			t.Fatal(err)
		}
		for _, event := range schema.OneOf {
			for key, p := range event.Properties {
				checkKey(t, fmt.Sprintf("%s %s", tool, event.Title), key, p)
			}
		}
	}
}

type property struct {
	Type        any
	Const       string
	Description string
	Kernel      string `json:"x-kernel"`
	Properties  map[string]property
	Items       *property
}

func checkKey(t *testing.T, where, key string, p property) {
	t.Helper()
	if !regexp.MustCompile(`^[a-z0-9]+(_[a-z0-9]+)*$`).MatchString(key) {
		t.Errorf("%s: %q is not snake_case", where, key)
	}
	kind := fmt.Sprint(p.Type)
	numeric := strings.Contains(kind, "integer") || strings.Contains(kind, "number")
	if numeric && p.Kernel == "" && !units.MatchString(key) && !words.MatchString(key) {
		t.Errorf("%s: the number %q has no unit at its end", where, key)
	}
	if p.Description == "" && p.Const == "" && !slices.Contains([]string{"ts", "run_id", "proc", "seq", "mono_ns", "labels"}, key) {
		t.Errorf("%s: %q is not documented", where, key)
	}
	for inner, q := range p.Properties {
		checkKey(t, where+" "+key, inner, q)
	}
	if p.Items != nil {
		for inner, q := range p.Items.Properties {
			checkKey(t, where+" "+key, inner, q)
		}
	}
}

// TestScriptsAreRun demands that each shell script has a test that runs it.
func TestScriptsAreRun(t *testing.T) {
	var tests []byte
	for _, path := range files(t, "") {
		if strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, ".txtar") || path == ".ci/run" || path == "Makefile" {
			tests = append(tests, read(t, path)...)
		}
	}
	err := filepath.WalkDir(filepath.Join(root, "scripts"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".sh") && !bytes.Contains(tests, []byte(d.Name())) {
			t.Errorf("%s: no test runs it", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
