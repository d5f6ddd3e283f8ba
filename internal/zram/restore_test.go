// SPDX-License-Identifier: Apache-2.0

package zram

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"memline/internal/exit"
	"memline/internal/kernel"
	"memline/internal/undo"
)

func mkfifo(path string) error { return unix.Mkfifo(path, 0o600) }

func code(err error) int {
	c, _ := exit.Code(err)
	return c
}

// state opens a journal in a folder of the test's.
func state(t testing.TB) *undo.Journal {
	t.Helper()
	path, err := os.MkdirTemp("/dev/shm", "zram-test-")
	if err != nil {
		path = t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(path) })
	t.Setenv(undo.DirEnv, filepath.Join(path, "state"))
	return journal(t)
}

func journal(t testing.TB) *undo.Journal {
	t.Helper()
	dir, err := undo.OpenDir(undo.DefaultDir)
	if err != nil {
		t.Fatal(err)
	}
	j, err := undo.Open(dir, kernel.Root())
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// sysfs is a made-up kernel with zram.
type sysfs struct {
	t    testing.TB
	root string
}

func newSysfs(t testing.TB) sysfs {
	s := sysfs{t, t.TempDir()}
	s.write("sys/class/zram-control/hot_add", "")
	s.write("sys/class/zram-control/hot_remove", "")
	s.write("proc/swaps", "Filename Type Size Used Priority\n")
	s.write("proc/meminfo", "MemTotal: 8000000 kB\nMemAvailable: 4000000 kB\n")
	return s
}

func (s sysfs) write(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// device adds a device; sequence 0 is a kernel without sequence numbers.
func (s sysfs) device(number int, sequence uint64, initialised bool) {
	dir := "sys/block/zram" + strconv.Itoa(number) + "/"
	s.write(dir+"dev", "253:"+strconv.Itoa(number))
	if sequence != 0 {
		s.write(dir+"diskseq", strconv.FormatUint(sequence, 10))
	}
	if initialised {
		s.write(dir+"initstate", "1")
		s.write(dir+"disksize", "1048576")
	} else {
		s.write(dir+"initstate", "0")
		s.write(dir+"disksize", "0")
	}
}

func (s sysfs) removed() string {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.root, hotRemove))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(b)
}

// TestReverser decides which device is whose on made-up kernels: it removes what is provably ours and nothing else.
func TestReverser(t *testing.T) {
	type dev struct {
		number      int
		sequence    uint64
		initialised bool
	}
	for _, test := range []struct {
		name    string
		trace   trace
		devices []dev
		swaps   string
		removed string // written to hot_remove
		target  string
		code    int
	}{
		{"ours, by sequence number", trace{Made: true, Number: 1, Sequence: 7}, []dev{{0, 5, true}, {1, 7, true}}, "", "1", "zram1", 0},
		{"ours, still empty", trace{Made: true, Number: 1, Sequence: 7}, []dev{{1, 7, false}}, "", "1", "zram1", 0},
		{"gone", trace{Made: true, Number: 1, Sequence: 7}, []dev{{0, 5, true}}, "", "", "zram1 (gone)", 0},
		{"its number has been given to another", trace{Made: true, Number: 1, Sequence: 7}, []dev{{1, 9, true}}, "", "", "zram1 (gone: ", 0},
		{"its number has been given to another, empty", trace{Made: true, Number: 1, Sequence: 7}, []dev{{1, 9, false}}, "", "", "zram1 (gone: ", 0},
		{"the sequence number cannot be read", trace{Made: true, Number: 1, Sequence: 7}, []dev{{1, 1 << 63, true}}, "", "", "zram1", 1},
		{"plain, but swapped on by somebody", trace{Made: true, Number: 1, Sequence: 7}, []dev{{1, 7, true}}, "/dev/zram1 partition 1020 0 5\n", "", "zram1", exit.Refused},
		{"plain, but swapped on by somebody, node made anew", trace{Made: true, Number: 1, Sequence: 7}, []dev{{1, 7, true}}, `/dev/zram1\040(deleted) partition 1020 0 5` + "\n", "", "zram1", exit.Refused},
		{"another device is swapped on", trace{Made: true, Number: 1, Sequence: 7}, []dev{{1, 7, true}}, "/dev/zram11 partition 1020 0 5\n", "1", "zram1", 0},

		{"no sequence numbers, plain with data: nothing proves it", trace{Made: true, Number: 1}, []dev{{1, 0, true}}, "", "", "zram1 (left: ", 0},
		{"no sequence numbers, empty: no loss to anybody", trace{Made: true, Number: 1}, []dev{{1, 0, false}}, "", "1", "zram1", 0},

		{"unexplained: killed before hot_add", trace{Existing: []int{0}, Newest: 5}, []dev{{0, 5, true}}, "", "", "zram device (not made)", 0},
		{"unexplained: killed after hot_add", trace{Existing: []int{0}, Newest: 5}, []dev{{0, 5, true}, {1, 6, false}}, "", "1", "zram1", 0},
		{"unexplained: the first of all", trace{Existing: []int{}}, []dev{{0, 1, false}}, "", "0", "zram0", 0},
		{"an entry that says nothing", trace{}, []dev{{0, 1, false}}, "", "", "zram device (not made)", 0},
		{"unexplained: a gap in the numbers", trace{Existing: []int{0, 2}, Newest: 5}, []dev{{0, 5, true}, {1, 6, false}, {2, 4, true}}, "", "1", "zram1", 0},
		{"unexplained: set up by somebody", trace{Existing: []int{0}, Newest: 5}, []dev{{0, 5, true}, {1, 6, true}}, "", "", "zram device (not made)", 0},
		{"unexplained: somebody else added one more", trace{Existing: []int{0}, Newest: 5}, []dev{{0, 5, true}, {1, 6, false}, {2, 7, false}}, "", "1", "zram1", 0},
		{"unexplained: not of the number that the kernel would have given", trace{Existing: []int{0}, Newest: 5}, []dev{{0, 5, true}, {2, 7, false}}, "", "", "zram device (not made)", 0},
		{"unexplained: there before", trace{Existing: []int{1}, Newest: 5}, []dev{{0, 4, false}, {1, 5, true}}, "", "", "zram device (not made)", 0},
		{"unexplained: no sequence numbers", trace{Existing: []int{0}}, []dev{{0, 0, true}, {1, 0, false}}, "", "1", "zram1", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			j := state(t)
			s := newSysfs(t)
			for _, d := range test.devices {
				s.device(d.number, d.sequence, d.initialised)
				if d.sequence == 1<<63 {
					s.write("sys/block/zram1/diskseq", "nonsense")
				}
			}
			if test.swaps != "" {
				s.write("proc/swaps", "Filename Type Size Used Priority\n"+test.swaps)
			}
			change, err := j.Begin(undo.Persistent(), Kind, test.trace)
			if err != nil {
				t.Fatal(err)
			}
			target, err := Reverser(kernel.At(s.root), j)(t.Context(), change)
			if code(err) != test.code {
				t.Errorf("error %v, want code %d", err, test.code)
			}
			if target != test.target && !(strings.HasSuffix(test.target, ": ") && strings.HasPrefix(target, test.target)) {
				t.Errorf("target %q, want %q", target, test.target)
			}
			if got := s.removed(); got != test.removed {
				t.Errorf("hot_remove was told %q, want %q", got, test.removed)
			}
		})
	}
}

// TestExplained leaves a new empty device that another entry explains: somebody is just making it.
func TestExplained(t *testing.T) {
	j := state(t)
	s := newSysfs(t)
	s.device(0, 5, true)
	s.device(1, 6, false)
	dead, err := j.Begin(undo.Persistent(), Kind, trace{Existing: []int{0}, Newest: 5})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.Begin(undo.Persistent(), Kind, trace{Existing: []int{0}, Newest: 5, Made: true, Number: 1, Sequence: 6}); err != nil {
		t.Fatal(err)
	}
	target, err := Reverser(kernel.At(s.root), j)(t.Context(), dead)
	if err != nil || target != "zram device (not made)" || s.removed() != "" {
		t.Errorf("Reverser = %q, %v, hot_remove %q, want it left alone", target, err, s.removed())
	}
}

// TestReverserWithoutZram ends the entries of devices that went with the module.
func TestReverserWithoutZram(t *testing.T) {
	j := state(t)
	change, err := j.Begin(undo.Persistent(), Kind, trace{Made: true, Number: 1, Sequence: 7})
	if err != nil {
		t.Fatal(err)
	}
	if target, err := Reverser(kernel.At(t.TempDir()), j)(t.Context(), change); err != nil || target != "zram1 (gone)" {
		t.Errorf("Reverser = %q, %v", target, err)
	}
	garbled, err := j.Begin(undo.Persistent(), Kind, []string{"what"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Reverser(kernel.Root(), j)(t.Context(), garbled); err == nil {
		t.Error("Reverser of a garbled entry: no error")
	}
}

func TestOpenWithoutZram(t *testing.T) {
	_, err := Open(kernel.At(t.TempDir()))
	if code(err) != exit.Unsupported || !strings.Contains(err.Error(), "modprobe zram") || !strings.Contains(err.Error(), "hot_add") {
		t.Errorf("Open without zram = %v, want code %d with the file and the way out", err, exit.Unsupported)
	}
}

// TestSwapoffRefused does not begin what memory could not take.
func TestSwapoffRefused(t *testing.T) {
	s := newSysfs(t)
	s.device(1, 7, true)
	s.write("proc/swaps", "Filename Type Size Used Priority\n/dev/zram1 partition 8388604 2097152 5\n") // 2 GiB used
	s.write("proc/meminfo", "MemTotal: 8000000 kB\nMemAvailable: 2100000 kB\n")
	d := Control{root: kernel.At(s.root)}.Device(1)
	err := d.swapoff(t.Context())
	if code(err) != exit.Refused || !strings.Contains(err.Error(), "2147483648") || !strings.Contains(err.Error(), "2150400000") {
		t.Errorf("swapoff = %v, want code %d with both numbers", err, exit.Refused)
	}
	if err := d.remove(t.Context(), func() error { return nil }); code(err) != exit.Refused || s.removed() != "" {
		t.Errorf("remove = %v, hot_remove %q, want refused before anything is done", err, s.removed())
	}
}

// TestHotAddLost loses the journal between hot_add and the note of what it made: the device is taken away again.
func TestHotAddLost(t *testing.T) {
	j := state(t)
	dir := os.Getenv(undo.DirEnv)
	s := newSysfs(t)
	s.device(0, 5, true)
	pipe := filepath.Join(s.root, hotAdd)
	if err := errors.Join(os.Remove(pipe), mkfifo(pipe)); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		f, err := os.OpenFile(pipe, os.O_WRONLY, 0) // waits until hot_add is being read
		if err == nil {
			s.device(1, 6, false)
			err = os.Rename(dir, dir+".away")
			f.WriteString("1\n")
			err = errors.Join(err, f.Close())
		}
		done <- err
	}()
	_, err := Control{root: kernel.At(s.root)}.Create(t.Context(), j, undo.Persistent(), Plan{SizeBytes: 1 << 20})
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err == nil || s.removed() != "1" {
		t.Errorf("Create without its journal = %v, hot_remove %q, want an error and the device removed", err, s.removed())
	}
}

func TestParseName(t *testing.T) {
	s := newSysfs(t)
	s.device(1, 7, true)
	c := Control{root: kernel.At(s.root)}
	for _, name := range []string{"zram1", "/dev/zram1", "1"} {
		if d, err := c.Parse(name); err != nil || d.Number != 1 {
			t.Errorf("Parse(%q) = %v, %v", name, d, err)
		}
	}
	for name, want := range map[string]int{"zram2": exit.Failure, "zram": exit.Usage, "zram01": exit.Usage, "zram-1": exit.Usage, "/dev/sda": exit.Usage,
		"../zram1": exit.Usage, "": exit.Usage, "zram1 ": exit.Usage, "zram99999999999999999999": exit.Usage, "/dev/zramzram1": exit.Usage} {
		if d, err := c.Parse(name); code(err) != want {
			t.Errorf("Parse(%q) = %v, %v, want code %d", name, d, err, want)
		}
	}
}

// TestSteps keeps the kernel's order: the algorithm before the size, the header before swapon.
func TestSteps(t *testing.T) {
	steps := Plan{SizeBytes: 1 << 30, Algorithm: "lz4", MemLimitBytes: 1 << 29, Swap: true, Priority: 5}.Steps()
	var paths []string
	for i, s := range steps {
		if s.Order != i+1 {
			t.Errorf("step %d has order %d", i+1, s.Order)
		}
		paths = append(paths, filepath.Base(s.Path)+"="+s.Value)
	}
	want := "hot_add=(read: makes zramN) comp_algorithm=lz4 disksize=1073741824 mem_limit=536870912 zramN=swap header with the journal's id as UUID swapon(2)=/dev/zramN priority 5"
	if got := strings.Join(paths, " "); got != want {
		t.Errorf("Steps = %s, want %s", got, want)
	}
	if n := len((Plan{SizeBytes: 4096}).Steps()); n != 2 {
		t.Errorf("a plain device takes %d steps, want 2", n)
	}
}

func FuzzTrace(f *testing.F) {
	f.Add([]byte(`{"existing":[0],"newest":5,"made":true,"number":1,"sequence":6,"headed":true}`))
	f.Add([]byte(`{"existing":[-1,0,1,2,3],"newest":18446744073709551615}`))
	f.Fuzz(func(t *testing.T, detail []byte) {
		if !json.Valid(detail) {
			t.Skip()
		}
		j := state(t)
		change, err := j.Begin(undo.Persistent(), Kind, json.RawMessage(detail))
		if err != nil {
			t.Fatal(err)
		}
		s := newSysfs(t)
		s.device(0, 5, true)
		s.device(1, 6, false)
		Reverser(kernel.At(s.root), j)(context.Background(), change)
		var tr trace
		ours := json.Unmarshal(detail, &tr) == nil && tr.Made && tr.Number == 0 && tr.Sequence == 5
		if got := s.removed(); got == "0" && !ours {
			t.Errorf("%s removes a device with data whose sequence number it does not have", detail)
		}
	})
}
