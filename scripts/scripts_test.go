// SPDX-License-Identifier: Apache-2.0

// Package scripts holds the tests of the scripts: the main job on the real kernel, its bad days, and the rule that matters
// most, that a run killed at any moment leaves nothing that one restore does not put back.
package scripts

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"memline/internal/kernel"
	"memline/internal/kernel/kerneltest"
	"memline/internal/record/recordtest"
	"memline/internal/undo"
)

var tools = []string{"memlock", "mempressure", "zramctl", "arenabench", "summarize"}

// bin is the folder with the tools, built once for all tests of this package.
var bin string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "memline-bin")
	if err != nil {
		panic(err)
	}
	args := []string{"build", "-o", dir + "/"}
	for _, tool := range tools {
		args = append(args, "../"+tool)
	}
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		panic(fmt.Sprintf("go %v: %v\n%s", args, err, out))
	}
	// The tools must be reachable by other users for the tests that are not root.
	if err := errors.Join(os.Chmod(dir, 0o755), os.Setenv("MEMLINE_BIN", dir)); err != nil {
		panic(err)
	}
	bin = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// bench returns the main job with these arguments, its records going to a folder of the test's.
func bench(out string, args ...string) *exec.Cmd {
	return exec.Command("./bench-compressors.sh", append([]string{"--out", out}, args...)...)
}

// outcome is what a finished command said.
type outcome struct {
	code           int
	stdout, stderr string
}

func finish(t *testing.T, cmd *exec.Cmd) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return outcome{exitCode(cmd.ProcessState), stdout.String(), stderr.String()}
}

func exitCode(s *os.ProcessState) int {
	if status := s.Sys().(syscall.WaitStatus); status.Signaled() {
		return 128 + int(status.Signal())
	}
	return s.ExitCode()
}

// untouched fails the test unless the host is at its end as it was at its beginning.
func untouched(t *testing.T) {
	t.Helper()
	root := kernel.Root()
	before := take(t)
	available := memAvailable(t)
	t.Cleanup(func() {
		for _, d := range before.Diff(take(t)) {
			t.Errorf("the host is not as before: %s was %q, is %q", d.What, d.Was, d.Is)
		}
		dir, err := undo.OpenDir(undo.DefaultDir)
		if err != nil {
			t.Fatal(err)
		}
		j, err := undo.Open(dir, root)
		if err != nil {
			t.Fatal(err)
		}
		live, err := j.Live()
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range live {
			if c.Abandoned() {
				t.Errorf("the journal still holds %+v", c.Entry())
			}
		}
		allowed := max(64<<20, available/100)
		// Five seconds, and longer only while it still comes back: a guest that reports its free pages to the hypervisor
		// has them parked for that time, and on a loaded host they return at some 8 MiB a second.
		end, last := time.Now().Add(5*time.Second), int64(0)
		for now := memAvailable(t); available-now > allowed; now = memAvailable(t) {
			if time.Now().After(end) {
				if now <= last {
					t.Errorf("MemAvailable fell from %d to %d and does not come back", available, now)
					return
				}
				end, last = time.Now().Add(5*time.Second), now
			}
			time.Sleep(50 * time.Millisecond)
		}
	})
}

func take(t *testing.T) undo.Snapshot {
	t.Helper()
	s, err := undo.TakeSnapshot(kernel.Root())
	if err != nil {
		t.Fatal(err)
	}
	groups, err := filepath.Glob("/sys/fs/cgroup/*/memline*")
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range groups {
		s["cgroup "+group] = "there"
	}
	return s
}

func memAvailable(t *testing.T) int64 {
	t.Helper()
	m, err := kernel.Root().Meminfo()
	if err != nil {
		t.Fatal(err)
	}
	return m.AvailableBytes
}

// prepare takes the host lock, makes sure that nothing is left from before, and has the test end with the host untouched
// beside a swap area and a zram device of somebody else's.
func prepare(t *testing.T) {
	t.Helper()
	kerneltest.Zram(t)
	kerneltest.HostLock(t)
	restore(t)
	foreignSwap(t)
	untouched(t)
}

func restore(t *testing.T) {
	t.Helper()
	if o := finish(t, exec.Command(filepath.Join(bin, "zramctl"), "restore")); o.code != 0 {
		t.Fatalf("zramctl restore: exit code %d: %s%s", o.code, o.stdout, o.stderr)
	}
}

// foreignSwap makes a zram device by hand and swaps on it with a low priority, as a user's own would be.
func foreignSwap(t *testing.T) {
	t.Helper()
	number, err := os.ReadFile("/sys/class/zram-control/hot_add")
	if err != nil {
		t.Fatal(err)
	}
	id := strings.TrimSpace(string(number))
	node := "/dev/zram" + id
	t.Cleanup(func() {
		sh(t, "swapoff %s; echo 1 >/sys/block/zram%s/reset; echo %s >/sys/class/zram-control/hot_remove", node, id, id)
	})
	sh(t, "echo 64M >/sys/block/zram%s/disksize && mkswap %s >/dev/null && swapon -p 3 %s", id, node, node)
}

func sh(t *testing.T, format string, args ...any) {
	t.Helper()
	command := fmt.Sprintf(format, args...)
	if out, err := exec.Command("sh", "-c", command).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
}

// checkRecords holds every line of a run's records against the schema of the tool that wrote it.
func checkRecords(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	byTool := map[string]*bytes.Buffer{}
	for line := range bytes.Lines(text) {
		_, rest, _ := bytes.Cut(line, []byte(`"tool":"`))
		tool, _, _ := bytes.Cut(rest, []byte(`"`))
		if byTool[string(tool)] == nil {
			byTool[string(tool)] = new(bytes.Buffer)
		}
		byTool[string(tool)].Write(line)
	}
	for tool, lines := range byTool {
		text, err := exec.Command(filepath.Join(bin, tool), "--schema").Output()
		if err != nil {
			t.Fatalf("%s --schema: %v", tool, err)
		}
		schema, err := recordtest.Schema(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := recordtest.Check(schema, lines.Bytes()); err != nil {
			t.Errorf("%s: %v", tool, err)
		}
	}
}

func TestRanksTheKernelsCompressors(t *testing.T) {
	prepare(t)
	out := filepath.Join(t.TempDir(), "run")
	o := finish(t, bench(out, "--small-tests", "--rounds", "6"))
	if o.code != 0 && o.code != 4 { // which of the two is the machine's affair
		t.Fatalf("exit code %d\n%s%s", o.code, o.stdout, o.stderr)
	}
	checkRecords(t, filepath.Join(out, "records.ndjson"))
	offered, err := os.ReadFile("/sys/block/zram0/comp_algorithm")
	if err != nil {
		t.Fatal(err)
	}
	for name := range strings.FieldsSeq(strings.NewReplacer("[", "", "]", "").Replace(string(offered))) {
		if !strings.Contains(o.stdout, name) {
			t.Errorf("the table does not name %s:\n%s", name, o.stdout)
		}
	}
	ranking, err := os.ReadFile(filepath.Join(out, "ranking.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(ranking, []byte(`"event":"ranking"`)) || !bytes.Contains(ranking, []byte(`"basis":"zram_swap"`)) {
		t.Errorf("no ranking on real swap:\n%s", ranking)
	}
	if o.code == 0 && !strings.Contains(o.stdout, "compression-algorithm") {
		t.Errorf("no settings printed:\n%s", o.stdout)
	}
}

func TestRanksCodecsWithoutRoot(t *testing.T) {
	kerneltest.Root(t)
	kerneltest.HostLock(t)
	dir := t.TempDir()
	for d := dir; d != "/" && d != os.TempDir(); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	script, err := os.ReadFile("bench-compressors.sh")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "bench-compressors.sh") // the checkout may be closed to other users
	if err := os.WriteFile(path, script, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "--rounds", "6", "--out", filepath.Join(dir, "run"))
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "MEMLINE_BIN=" + bin}
	o := finish(t, cmd)
	if o.code != 0 && o.code != 4 {
		t.Fatalf("exit code %d\n%s%s", o.code, o.stdout, o.stderr)
	}
	first, _, _ := strings.Cut(o.stdout, "\n")
	if !strings.Contains(first, "User-space") {
		t.Errorf("the first line does not say that these are user-space codecs: %q", first)
	}
	ranking, err := os.ReadFile(filepath.Join(dir, "run", "ranking.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(ranking, []byte(`"basis":"user_space"`)) {
		t.Errorf("the ranking does not state its basis:\n%s", ranking)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"--nope"}, {"--rounds", "0"}, {"--rounds"}, {"--duration", "soon"}, {"--emit", "xml"},
		{"--patterns", "a b"}, {"--timeout", "-1"}} {
		o := finish(t, bench(filepath.Join(t.TempDir(), "run"), args...))
		if o.code != 2 || o.stdout != "" || strings.Count(o.stderr, "\n") != 1 {
			t.Errorf("%v: exit code %d, stdout %q, stderr %q; want 2 and one line on stderr", args, o.code, o.stdout, o.stderr)
		}
	}
	if o := finish(t, exec.Command("./bootstrap.sh", "--with", "nope")); o.code != 2 {
		t.Errorf("bootstrap.sh --with nope: exit code %d, want 2", o.code)
	}
	if o := finish(t, exec.Command("./bootstrap.sh", "--dry-run", "--with", "allocators", "vm")); o.code != 0 {
		t.Errorf("bootstrap.sh --dry-run: exit code %d: %s", o.code, o.stderr)
	}
}

// TestSignals stops a run at random moments with INT and TERM: it puts the host back itself, without a restore.
func TestSignals(t *testing.T) {
	prepare(t)
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGINT, syscall.SIGTERM} {
		out := filepath.Join(t.TempDir(), "run")
		cmd := bench(out, "--small-tests")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		wait := time.Duration(rand.Int64N(int64(3 * time.Second)))
		time.Sleep(wait)
		if err := cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); cmd.ProcessState == nil {
			t.Fatal(err)
		}
		if got, want := exitCode(cmd.ProcessState), 128+int(signal); got != want {
			t.Errorf("%v after %v: exit code %d, want %d: %s", signal, wait, got, want, stderr.String())
		}
	}
}

func TestTwoAtOnce(t *testing.T) {
	prepare(t)
	// This test holds the host lock, which the first run shares; the second is not of the family.
	second := bench(filepath.Join(t.TempDir(), "run"), "--small-tests")
	second.Env = slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, undo.LockEnv+"=") })
	if o := finish(t, second); o.code != 75 || !strings.Contains(o.stderr, "the host lock is held by") {
		t.Errorf("the second run: exit code %d, stderr %q; want 75", o.code, o.stderr)
	}
}

func TestDiskFull(t *testing.T) {
	prepare(t)
	dir := t.TempDir()
	sh(t, "mount -t tmpfs -o size=64k tmpfs %s", dir)
	t.Cleanup(func() { sh(t, "umount %s", dir) })
	o := finish(t, bench(filepath.Join(dir, "run"), "--small-tests"))
	if o.code != 1 || !strings.Contains(o.stderr, "cannot write") {
		t.Errorf("exit code %d, stderr %q; want 1 and why", o.code, o.stderr)
	}
}

func TestTestTimeout(t *testing.T) {
	prepare(t)
	out := filepath.Join(t.TempDir(), "run")
	// Half a GiB takes longer than the shortest limit there is, in every test of the run.
	o := finish(t, bench(out, "--timeout", "1", "--rounds", "1", "--duration", "1"))
	if o.code == 0 {
		t.Errorf("a run without rounds to compare ended with 0:\n%s", o.stdout)
	}
}

// TestKilled kills a random process of a real run at a random moment, with SIGKILL. One restore later everything is as it
// was, as long as the run itself is over.
func TestKilled(t *testing.T) {
	prepare(t)
	const times = 20
	for i := range times {
		t.Run(strconv.Itoa(i+1), func(t *testing.T) {
			untouched(t)
			cmd := bench(filepath.Join(t.TempDir(), "run"), "--small-tests", "--rounds", "1")
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Duration(rand.Int64N(int64(4 * time.Second))))
			// Half of the time the script itself, since only then nobody is left to clean up.
			family := descendants(cmd.Process.Pid)
			victim := family[0]
			if rand.IntN(2) == 0 {
				victim = family[rand.IntN(len(family))]
			}
			name, _ := kernel.Root().Text("proc", strconv.Itoa(victim), "comm")
			t.Logf("killing %s (%d of %d processes)", name, slices.Index(family, victim)+1, len(family))
			syscall.Kill(victim, syscall.SIGKILL)
			if err := cmd.Wait(); cmd.ProcessState == nil {
				t.Fatal(err)
			}
			restore(t)
			for _, pid := range family[1:] {
				for end := time.Now().Add(5 * time.Second); isOurs(pid); time.Sleep(10 * time.Millisecond) {
					if time.Now().After(end) {
						t.Errorf("process %d of the run is still there", pid)
						break
					}
				}
			}
		})
	}
}

// descendants lists a process and all below it.
func descendants(pid int) []int {
	family := []int{pid}
	for i := 0; i < len(family); i++ {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", family[i]))
		for _, path := range tasks {
			text, _ := os.ReadFile(path)
			for field := range strings.FieldsSeq(string(text)) {
				if child, err := strconv.Atoi(field); err == nil {
					family = append(family, child)
				}
			}
		}
	}
	return family
}

// isOurs reports whether the process still runs one of the tools.
func isOurs(pid int) bool {
	path, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	return err == nil && filepath.Dir(path) == bin
}

// TestExamples runs each example as its caller would: with an empty environment.
func TestExamples(t *testing.T) {
	prepare(t)
	install := t.TempDir()
	for _, name := range []string{"scripts", "bin"} {
		if err := os.MkdirAll(filepath.Join(install, "opt/memline", name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	sh(t, "cp -r *.sh examples %s/opt/memline/scripts/ && cp %s/* %s/opt/memline/bin/", install, bin, install)
	state := filepath.Join(install, "var/lib/memline")
	if err := os.MkdirAll(state, 0o755); err != nil {
		t.Fatal(err)
	}
	env := []string{undo.LockEnv + "=" + os.Getenv(undo.LockEnv)} // this test holds the lock; cron's run would take it

	t.Run("crontab", func(t *testing.T) {
		command := relocate(t, install, "examples/crontab", `(?m)^17 4 \* \* 0  (.*)$`)
		o := finish(t, empty(env, "/bin/sh", "-c", command+" --small-tests --rounds 1"))
		// One round is too few for a verdict, and that is all there may be said about it.
		if o.code != 4 || o.stdout != "" {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q; want 4 and silence", command, o.code, o.stdout, o.stderr)
		}
	})
	t.Run("service", func(t *testing.T) {
		command := relocate(t, install, "examples/memline-rank.service", `(?m)^ExecStart=(.*)$`)
		cmd := empty(env, "/bin/sh", "-c", command+" --small-tests --rounds 6")
		cmd.Dir = state
		if o := finish(t, cmd); o.code != 0 && o.code != 4 || o.stdout != "" {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q", command, o.code, o.stdout, o.stderr)
		}
		if path, err := exec.LookPath("systemd-analyze"); err == nil {
			unit := filepath.Join(install, "opt/memline/scripts/examples/memline-rank.timer")
			if o := finish(t, exec.Command(path, "calendar", "Sun 04:17")); o.code != 0 {
				t.Errorf("%s: the calendar of %s is not understood: %s", path, unit, o.stderr)
			}
		}
	})
	t.Run("host-bootstrap.sh", func(t *testing.T) {
		cmd := empty(env, filepath.Join(install, "opt/memline/scripts/examples/host-bootstrap.sh"), "--small-tests", "--rounds", "6")
		cmd.Dir = state
		o := finish(t, cmd)
		if o.code != 0 || !strings.Contains(o.stdout, "compression-algorithm = ") && !strings.Contains(o.stderr, "no recommendation") {
			t.Errorf("exit code %d, stdout %q, stderr %q", o.code, o.stdout, o.stderr)
		}
	})
}

// relocate takes a command out of an example and moves its paths below the test's folder.
func relocate(t *testing.T, install, path, pattern string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(pattern).FindSubmatch(text)
	if m == nil {
		t.Fatalf("%s: nothing matches %s", path, pattern)
	}
	return strings.NewReplacer("/opt/memline", install+"/opt/memline", "/var/lib/memline", install+"/var/lib/memline").Replace(string(m[1]))
}

func empty(env []string, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env = append([]string{"PATH=/usr/bin:/bin"}, env...)
	return cmd
}
