// SPDX-License-Identifier: Apache-2.0

package undo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"memline/internal/exit"
	"memline/internal/kernel"
)

const (
	testBoot = "11111111-2222-3333-4444-555555555555"
	testKind = "file" // a change of this kind is a file that exists while the change is made
)

// TestMain lets the test binary play the other processes: see child_test.go.
func TestMain(m *testing.M) {
	if role := os.Getenv("UNDO_TEST_ROLE"); role != "" {
		os.Exit(play(role, os.Args[1:]))
	}
	os.Exit(m.Run())
}

// openTest returns a journal in a folder of the test's, on the running kernel.
func openTest(t *testing.T) *Journal {
	t.Helper()
	t.Setenv(DirEnv, filepath.Join(inMemory(t), "state"))
	t.Setenv(LockEnv, "")
	return reopen(t)
}

// inMemory is a folder of the test's that no busy disk makes slow, as /run is none.
func inMemory(t testing.TB) string {
	t.Helper()
	path, err := os.MkdirTemp("/dev/shm", "undo-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(path) })
	return path
}

func reopen(t testing.TB) *Journal {
	t.Helper()
	dir, err := OpenDir(DefaultDir)
	if err != nil {
		t.Fatal(err)
	}
	j, err := Open(dir, kernel.Root())
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func self(t testing.TB) Owner {
	t.Helper()
	o, err := Self(kernel.Root())
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// sleeper starts a process that does nothing, for changes to belong to.
func sleeper(t testing.TB) (Owner, *exec.Cmd) {
	t.Helper()
	cmd := exec.Command("sleep", "300")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end(cmd) })
	o, err := OwnerOf(kernel.Root(), cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	return o, cmd
}

func end(cmd *exec.Cmd) {
	cmd.Process.Kill()
	cmd.Wait()
}

// live returns what the journal says stands, as text: kind, owner, detail.
func live(t testing.TB, j *Journal) []string {
	t.Helper()
	changes, err := j.Live()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, c := range changes {
		if c.entry.Kind != kindSnapshot {
			lines = append(lines, fmt.Sprintf("%s %s %s", c.entry.Kind, c.entry.Owner.Comm, c.entry.Detail))
		}
	}
	return lines
}

func wantLive(t testing.TB, j *Journal, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, live(t, j)); diff != "" {
		t.Errorf("live changes: -want +got\n%s", diff)
	}
}

// reversers of the test kind remove the file that the detail names.
func reversers() map[string]Reverser {
	return map[string]Reverser{testKind: func(_ context.Context, c *Change) (string, error) {
		var path string
		if err := c.Decode(&path); err != nil {
			return "", err
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return path, err
		}
		return path, nil
	}}
}

func restoreNow(t testing.TB, j *Journal) Restored {
	t.Helper()
	r, err := j.Restore(t.Context(), Plan{Wait: time.Minute, Reversers: reversers()})
	if err != nil {
		t.Fatalf("Restore: %v", err)
	}
	return r
}

func TestLife(t *testing.T) {
	j := openTest(t)
	owner, _ := sleeper(t)
	c, err := j.Begin(owner, testKind, "intent")
	if err != nil {
		t.Fatal(err)
	}
	me := self(t)
	wantLive(t, j, "file "+me.Comm+` "intent"`) // the maker's until it is made
	if c.Settled() || c.Abandoned() {
		t.Errorf("a change being made: Settled = %t, Abandoned = %t, want false, false", c.Settled(), c.Abandoned())
	}
	if err := c.Update("half"); err != nil {
		t.Fatal(err)
	}
	wantLive(t, j, "file "+me.Comm+` "half"`)
	if err := c.Settle("made"); err != nil {
		t.Fatal(err)
	}
	wantLive(t, j, `file sleep "made"`)

	found, err := j.Live()
	if err != nil {
		t.Fatal(err)
	}
	c = found[len(found)-1]
	if err := c.Take(); err != nil {
		t.Fatal(err)
	}
	wantLive(t, j, "file "+me.Comm+` "made"`)
	if err := c.Settle(nil); err != nil { // given back
		t.Fatal(err)
	}
	wantLive(t, j, `file sleep "made"`)
	if err := c.Undone(); err != nil {
		t.Fatal(err)
	}
	wantLive(t, j)
	if text, err := os.ReadFile(j.dir.journalPath()); err != nil || len(text) != 0 {
		t.Errorf("journal after all is undone = %q, %v, want empty", text, err)
	}
}

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

// TestOwnerEnds follows a settled change through its owner's death: running, zombie, collected, number reused.
func TestOwnerEnds(t *testing.T) {
	j := openTest(t)
	owner, cmd := sleeper(t)
	c, err := j.Begin(owner, testKind, filepath.Join(t.TempDir(), "x"))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Settle(nil); err != nil {
		t.Fatal(err)
	}
	if r := restoreNow(t, j); len(r.Outcomes) != 0 {
		t.Errorf("Restore beside the living owner = %+v, want nothing", r)
	}
	cmd.Process.Kill()
	for end := time.Now().Add(time.Minute); !kernel.Root().Gone(owner.Process); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the owner does not end")
		}
	}
	if !c.Abandoned() {
		t.Error("Abandoned with a zombie for an owner = false, want true")
	}
	cmd.Wait()
	// A later process with the owner's number is not the owner.
	c.entry.Owner = self(t)
	c.entry.Owner.StartTicks--
	if !c.Abandoned() {
		t.Error("Abandoned with another process of the owner's number = false, want true")
	}
	if r := restoreNow(t, j); len(r.Outcomes) != 1 {
		t.Errorf("Restore after the owner's end = %+v, want one outcome", r)
	}
	wantLive(t, j)
}

// TestDeadOwner refuses to make, and to hand over, anything for an owner that has ended: restore may have looked already.
func TestDeadOwner(t *testing.T) {
	j := openTest(t)
	owner, cmd := sleeper(t)
	c, err := j.Begin(owner, testKind, "x")
	if err != nil {
		t.Fatal(err)
	}
	end(cmd)
	if _, err := j.Begin(owner, testKind, "y"); code(err) != exit.Refused {
		t.Errorf("Begin for a dead owner = %v, want code %d", err, exit.Refused)
	}
	if err := c.Settle(nil); code(err) != exit.Refused {
		t.Errorf("Settle on a dead owner = %v, want code %d", err, exit.Refused)
	}
	if me := self(t); c.Entry().Owner.Process != me.Process {
		t.Errorf("after the refusal the change is %s's, want the maker's, %s", c.Entry().Owner, me)
	}
	if err := c.Undone(); err != nil {
		t.Fatal(err)
	}
}

func code(err error) int {
	c, _ := exit.Code(err)
	return c
}

func TestBeginMade(t *testing.T) {
	j := openTest(t)
	c, err := j.BeginMade(Persistent(), testKind, func() (any, error) { return "intent", nil }, func() (any, error) {
		wantLive(t, j, "file "+self(t).Comm+` "intent"`) // written down before it is made
		return "made", nil
	})
	if err != nil {
		t.Fatal(err)
	}
	wantLive(t, j, "file "+self(t).Comm+` "made"`)
	if err := c.Undone(); err != nil {
		t.Fatal(err)
	}
	if c, err := j.BeginMade(Persistent(), testKind, func() (any, error) { return "intent", nil }, func() (any, error) {
		return nil, os.ErrPermission
	}); !errors.Is(err, os.ErrPermission) || c != nil {
		t.Errorf("BeginMade whose making fails = %v, %v, want %v", c, err, os.ErrPermission)
	}
	wantLive(t, j)
	if _, err := j.BeginMade(Persistent(), testKind, func() (any, error) { return nil, os.ErrInvalid }, func() (any, error) {
		t.Error("made after the intent failed")
		return nil, nil
	}); !errors.Is(err, os.ErrInvalid) {
		t.Errorf("BeginMade whose intent fails = %v, want %v", err, os.ErrInvalid)
	}
	wantLive(t, j)
	// The journal goes away between the making and its note: the change comes back, for the caller to reverse.
	c, err = j.BeginMade(Persistent(), testKind, func() (any, error) { return "intent", nil }, func() (any, error) {
		return "made", os.Rename(j.dir.path, j.dir.path+".away")
	})
	if err == nil || c == nil {
		t.Errorf("BeginMade that cannot note what it made = %v, %v, want the change and an error", c, err)
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

// TestTidyKeepsSnapshot keeps the snapshot of an owner for whom somebody is just making something.
func TestTidyKeepsSnapshot(t *testing.T) {
	j := openTest(t)
	owner, _ := sleeper(t)
	making, err := j.Begin(owner, testKind, "x")
	if err != nil {
		t.Fatal(err)
	}
	other, err := j.Begin(Persistent(), testKind, "y")
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Undone(); err != nil { // tidies
		t.Fatal(err)
	}
	if n := snapshots(t, j); n != 1 {
		t.Errorf("%d snapshots while a change is being made for the owner, want 1", n)
	}
	if err := making.Settle(nil); err != nil {
		t.Fatal(err)
	}
	again, err := j.Begin(owner, testKind, "z")
	if err != nil {
		t.Fatal(err)
	}
	if n := snapshots(t, j); n != 1 {
		t.Errorf("%d snapshots after the owner's second change, want 1: only the first tells how the host was", n)
	}
	for _, c := range []*Change{again, making} {
		if err := c.Undone(); err != nil {
			t.Fatal(err)
		}
	}
	if n := snapshots(t, j); n != 0 {
		t.Errorf("%d snapshots after the owner's last change, want 0", n)
	}
}

func snapshots(t *testing.T, j *Journal) (n int) {
	t.Helper()
	changes, err := j.Live()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range changes {
		if c.entry.Kind == kindSnapshot {
			n++
		}
	}
	return n
}

func TestEnvOwner(t *testing.T) {
	t.Setenv(OwnerEnv, "")
	if o, err := EnvOwner(kernel.Root()); err != nil || o.PID != os.Getpid() {
		t.Errorf("EnvOwner without %s = %v, %v, want this process", OwnerEnv, o, err)
	}
	t.Setenv(OwnerEnv, "1")
	if o, err := EnvOwner(kernel.Root()); err != nil || o.PID != 1 || o.Comm == "" {
		t.Errorf("EnvOwner of 1 = %v, %v", o, err)
	}
	_, cmd := sleeper(t)
	end(cmd)
	for _, text := range []string{"x", "-1", "0", "1 ", strconv.Itoa(cmd.Process.Pid)} {
		t.Setenv(OwnerEnv, text)
		if o, err := EnvOwner(kernel.Root()); code(err) != exit.Usage {
			t.Errorf("EnvOwner of %q = %v, %v, want a usage error", text, o, err)
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
