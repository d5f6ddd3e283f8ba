// SPDX-License-Identifier: Apache-2.0

package undo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"memline/internal/kernel"
)

func TestParse(t *testing.T) {
	dir := Dir{t.TempDir()}
	j := &Journal{dir: dir, root: kernel.Root(), boot: testBoot}
	line := func(id string, more ...string) string {
		return fmt.Sprintf(`{"id":%q,"boot":%q,"owner":{"pid":1,"start_ticks":1},"kind":"value"%s}`, id, testBoot, strings.Join(more, ""))
	}
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"empty", "", nil},
		{"two changes, oldest first", line("b") + "\n" + line("a") + "\n", []string{"b", "a"}},
		{"a later line replaces an earlier one and keeps its place", line("a") + "\n" + line("b") + "\n" + line("a", `,"detail":7`) + "\n", []string{"a", "b"}},
		{"undone ends it", line("a") + "\n" + line("a", `,"undone":true`) + "\n", nil},
		{"torn last line", line("a") + "\n" + line("a", `,"undone":true`)[:40], []string{"a"}},
		{"torn line in the middle, the next on its own line", line("a")[:30] + "\n" + line("b") + "\n", []string{"b"}},
		{"a last line without its newline is whole", line("a"), []string{"a"}},
		{"foreign garbage", "hello\n\x00\xff\n[1,2]\n{}\n" + line("a") + "\n\"x\"\n", []string{"a"}},
		{"another boot is void", strings.Replace(line("a"), testBoot, "other", 1) + "\n", nil},
		{"no id", `{"boot":"` + testBoot + `","kind":"value"}` + "\n", nil},
	} {
		var got []string
		for _, c := range j.parse([]byte(test.text)) {
			got = append(got, c.ID())
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: -want +got\n%s", test.name, diff)
		}
	}
}

// TestTornTail writes on after a process died in the middle of a line.
func TestTornTail(t *testing.T) {
	j := openTest(t)
	c, err := j.Begin(Persistent(), testKind, "first")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Settle(nil); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(j.dir.journalPath(), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString(`{"id":"torn","boot":"` + j.boot)
	f.Close()
	second, err := j.Begin(Persistent(), testKind, "second")
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Settle(nil); err != nil {
		t.Fatal(err)
	}
	wantLive(t, j, `file  "first"`, `file  "second"`)
	if err := c.Undone(); err != nil {
		t.Fatal(err)
	}
	wantLive(t, j, `file  "second"`)
}

// TestRewrite keeps a busy journal short, and what stands in it.
func TestRewrite(t *testing.T) {
	j := openTest(t)
	kept, err := j.Begin(Persistent(), testKind, "kept")
	if err != nil {
		t.Fatal(err)
	}
	if err := kept.Settle(nil); err != nil {
		t.Fatal(err)
	}
	for range 500 {
		c, err := j.Begin(Persistent(), testKind, "comes and goes")
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Undone(); err != nil {
			t.Fatal(err)
		}
	}
	wantLive(t, j, `file  "kept"`)
	if info, err := os.Stat(j.dir.journalPath()); err != nil || info.Size() > 2*tidyAbove {
		t.Errorf("the journal has %d bytes, %v, want it rewritten above %d", info.Size(), err, tidyAbove)
	}
}

// TestNoRoom fills the disk under the journal: nothing may begin, and what has begun finds the room for all its lines.
func TestNoRoom(t *testing.T) {
	j := openTest(t)
	mountSmall(t, j.dir.path)
	begun, err := j.Begin(Persistent(), testKind, "begun in time")
	if err != nil {
		t.Fatal(err)
	}
	fill(t, filepath.Join(j.dir.path, "fill"))
	if err := begun.Update("goes on"); err != nil {
		t.Errorf("Update on a full disk: %v", err)
	}
	made := false
	_, err = j.BeginMade(Persistent(), testKind, func() (any, error) { return "too late", nil }, func() (any, error) {
		made = true
		return nil, nil
	})
	if err == nil || made {
		t.Errorf("BeginMade on a full disk: made = %t, error %v, want an error before anything is made", made, err)
	} else if !strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("BeginMade on a full disk says %q, want that nothing was changed", err)
	}
	if err := begun.Settle("made"); err != nil {
		t.Errorf("Settle on a full disk: %v", err)
	}
	wantLive(t, j, `file  "made"`)
	if err := begun.Undone(); err != nil {
		t.Errorf("Undone on a full disk: %v", err)
	}
	wantLive(t, j)
}

// mountSmall mounts a disk of 128 KiB for the rest of the test.
func mountSmall(t *testing.T, dir string) {
	t.Helper()
	out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=128k,mode=755", "memline-test", dir).CombinedOutput()
	if err != nil {
		t.Skipf("skipped: needs root to mount a small disk: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
}

// fill takes all the room that is left.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 64 << 10; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"id":"a","boot":"`+testBoot+`","owner":{"pid":1,"start_ticks":1,"comm":"init"},"kind":"value","detail":{"path":"x"}}`+"\n"), []byte("{"))
	f.Add([]byte(`{"id":"a","boot":"`+testBoot+`","for":{"persistent":true},"kind":"zram","undone":true}`), []byte("\x00"))
	f.Fuzz(func(t *testing.T, text, garbage []byte) {
		dir := Dir{inMemory(t)}
		j := &Journal{dir: dir, root: kernel.Root(), boot: testBoot}
		got := j.parse(text)
		for _, c := range got {
			if c.ID() == "" || c.entry.Boot != testBoot || c.entry.Undone {
				t.Errorf("parse returns %+v", c.entry)
			}
			c.Abandoned()
			c.Decode(new(Value))
		}
		// Whatever was torn or strange, the next line must be read, and tidying must change nothing that stands.
		if err := os.WriteFile(dir.journalPath(), append(bytes.Clone(text), garbage...), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := j.append(Entry{ID: "next", Boot: testBoot, Owner: Persistent(), Kind: "value"}); err != nil {
			t.Fatal(err)
		}
		before := ids(t, j)
		if len(before) == 0 || before[len(before)-1] != "next" && !bytes.Contains(text, []byte("next")) && !bytes.Contains(garbage, []byte("next")) {
			t.Errorf("after garbage the next line is not read: %q", before)
		}
		if err := j.tidy(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, ids(t, j)); diff != "" {
			t.Errorf("tidying: -before +after\n%s", diff)
		}
		standing, err := j.Live()
		if err != nil {
			t.Fatal(err)
		}
		if err := j.rewrite(standing); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, ids(t, j)); diff != "" {
			t.Errorf("rewriting: -before +after\n%s", diff)
		}
	})
}

// ids lists what stands but snapshots, which tidying may end.
func ids(t *testing.T, j *Journal) (ids []string) {
	t.Helper()
	changes, err := j.Live()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range changes {
		if c.entry.Kind != kindSnapshot {
			b, _ := json.Marshal(c.entry.ID)
			ids = append(ids, strings.Trim(string(b), `"`))
		}
	}
	return ids
}
