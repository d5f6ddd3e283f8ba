// SPDX-License-Identifier: Apache-2.0

package undo

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"memline/internal/exit"
)

func TestOpenDir(t *testing.T) {
	base := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	at := func(name string) string { return filepath.Join(base, name) }
	for _, dir := range []string{"good", "group", "world", "others", "open"} {
		must(os.Mkdir(at(dir), 0o755))
	}
	must(os.Chmod(at("group"), 0o775))
	must(os.Chmod(at("world"), 0o757))
	must(os.Chmod(at("open"), 0o777))
	must(os.Mkdir(at("tmp"), 0o777))
	must(os.Chmod(at("tmp"), 0o777|os.ModeSticky))
	must(os.Symlink(at("good"), at("link")))
	must(os.WriteFile(at("file"), nil, 0o644))
	tests := []struct {
		path string
		code int
		say  string
	}{
		{"good", exit.OK, ""},
		{"new", exit.OK, ""},
		{"tmp/new", exit.OK, ""}, // sticky: others cannot replace it
		{"link", exit.Refused, "not a folder"},
		{"file", exit.Refused, "not a folder"},
		{"group", exit.Refused, "0775"},
		{"world", exit.Refused, "0757"},
		{"open/new", exit.Refused, "put their own in its place"},
		{"missing/new", exit.Failure, "missing/new"},
	}
	if os.Geteuid() == 0 {
		must(os.Chown(at("others"), 12345, -1))
		must(os.Mkdir(at("others/mine"), 0o755))
		tests = append(tests, []struct {
			path string
			code int
			say  string
		}{{"others", exit.Privilege, "user 12345"}, {"others/mine", exit.Refused, "put their own"}}...)
	}
	for _, test := range tests {
		t.Setenv(DirEnv, "")
		dir, err := OpenDir(at(test.path))
		if code(err) != test.code || err != nil && !strings.Contains(err.Error(), test.say) {
			t.Errorf("OpenDir(%s) = %v, want code %d and %q", test.path, err, test.code, test.say)
		}
		if err == nil && dir.Path() != at(test.path) {
			t.Errorf("OpenDir(%s).Path() = %s", test.path, dir.Path())
		}
		if err != nil && !strings.Contains(err.Error(), DirEnv) && test.code != exit.Failure {
			t.Errorf("OpenDir(%s) = %q, which does not name %s as the way out", test.path, err, DirEnv)
		}
	}
	t.Setenv(DirEnv, at("elsewhere"))
	if dir, err := OpenDir(at("good")); err != nil || dir.Path() != at("elsewhere") {
		t.Errorf("OpenDir with %s set = %v, %v, want the one it names", DirEnv, dir, err)
	}
}

// TestOpenOwn refuses a journal or a lock that somebody else could have written, and does not wait for a pipe's other end.
func TestOpenOwn(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"link": func(path string) error { return os.Symlink("/dev/null", path) },
		"dir":  func(path string) error { return os.Mkdir(path, 0o755) },
		"pipe": func(path string) error { return unix.Mkfifo(path, 0o600) },
		"open": func(path string) error { return errors.Join(os.WriteFile(path, nil, 0o600), os.Chmod(path, 0o666)) },
	} {
		j := openTest(t)
		for _, path := range []string{j.dir.journalPath(), j.dir.LockPath(), j.dir.journalLockPath()} {
			if err := make(path); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := j.Live(); err == nil {
			t.Errorf("Live of a journal that is a %s: no error", name)
		}
		if _, err := j.Begin(Persistent(), testKind, "x"); err == nil {
			t.Errorf("Begin with files that are a %s: no error", name)
		}
		if _, err := j.dir.LockHost(t.Context(), 0); err == nil {
			t.Errorf("LockHost of a %s: no error", name)
		}
	}
}
