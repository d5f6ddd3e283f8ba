// SPDX-License-Identifier: Apache-2.0

package undo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"memline/internal/kernel"
)

// child is the test binary in one of the roles below.
type child struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
}

func start(t testing.TB, role string, args ...string) *child {
	t.Helper()
	c := &child{cmd: exec.Command(os.Args[0], args...)}
	c.cmd.Env = append(os.Environ(), "UNDO_TEST_ROLE="+role)
	c.cmd.Stderr = os.Stderr
	var err error
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.stdout = bufio.NewReader(out)
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.kill)
	return c
}

// says waits for the child's next line.
func (c *child) says(t testing.TB, want string) {
	t.Helper()
	got, err := c.stdout.ReadString('\n')
	if got != want+"\n" {
		t.Fatalf("the child says %q, %v, want %q", got, err, want)
	}
}

// tell lets the child go on.
func (c *child) tell() { fmt.Fprintln(c.stdin) }

func (c *child) kill() { end(c.cmd) }

// play is a child's main.
func play(role string, args []string) int {
	root := kernel.Root()
	dir, err := OpenDir(DefaultDir)
	if err != nil {
		return complain(err)
	}
	j, err := Open(dir, root)
	if err != nil {
		return complain(err)
	}
	owner, err := EnvOwner(root)
	if err != nil {
		return complain(err)
	}
	switch role {
	case "lock", "lock-once":
		lock, err := dir.LockHost(context.Background(), time.Minute)
		if err != nil {
			return complain(err)
		}
		defer lock.Release()
		fmt.Println("locked")
		if role == "lock" {
			time.Sleep(time.Hour)
		}
	case "hold":
		if _, err := j.Hold(owner); err != nil {
			return complain(err)
		}
		fmt.Println("holding")
		time.Sleep(time.Hour)
	case "work": // one change made and undone, over and over, or as often as told
		times, _ := strconv.Atoi(args[1])
		fmt.Println("working")
		for n := 0; times == 0 || n < times; n++ {
			if err := makeAndUndo(j, owner, filepath.Join(args[0], fmt.Sprintf("%d.%d", os.Getpid(), n))); err != nil {
				return complain(err)
			}
		}
	case "leave": // one change made
		if _, err := makeFile(j, owner, filepath.Join(args[0], strconv.Itoa(os.Getpid()))); err != nil {
			return complain(err)
		}
	case "append": // many changes, each third left standing
		for n := range 60 {
			c, err := j.Begin(Persistent(), testKind, fmt.Sprintf("%d.%d", os.Getpid(), n))
			if err == nil {
				err = c.Settle(nil)
			}
			if err == nil && n%3 != 0 {
				err = c.Undone()
			}
			if err != nil {
				return complain(err)
			}
		}
	case "slow": // makes a change for the owner, step by step as it is told
		return slow(j, owner, args[0])
	case "value":
		if _, err := j.SetValue(owner, args[0], args[1]); err != nil {
			return complain(err)
		}
		fmt.Println("set")
		time.Sleep(time.Hour)
	case "value-once":
		c, err := j.SetValue(owner, args[0], args[1])
		if err == nil {
			err = c.putBack(context.Background(), ReverseValue(root))
		}
		if err != nil {
			return complain(err)
		}
	case "restore":
		if _, err := j.Restore(context.Background(), Plan{Wait: time.Minute, Reversers: reversers()}); err != nil {
			return complain(err)
		}
	default:
		return complain(errors.New("unknown role " + role))
	}
	return 0
}

func complain(err error) int {
	fmt.Fprintln(os.Stderr, strings.ReplaceAll(err.Error(), "\n", "; "))
	return 1
}

// makeFile makes a change as a tool does: written down, made, handed over.
func makeFile(j *Journal, owner Owner, path string) (*Change, error) {
	c, err := j.BeginMade(owner, testKind, func() (any, error) { return path, nil }, func() (any, error) {
		return path, os.WriteFile(path, nil, 0o600)
	})
	if err != nil {
		return nil, err
	}
	if err := c.Update(path); err != nil {
		return nil, err
	}
	return c, c.Settle(nil)
}

func makeAndUndo(j *Journal, owner Owner, path string) error {
	c, err := makeFile(j, owner, path)
	if err != nil {
		return err
	}
	if err := c.Take(); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	return c.Undone()
}

func slow(j *Journal, owner Owner, path string) int {
	in := bufio.NewReader(os.Stdin)
	step := func(name string) {
		fmt.Println(name)
		in.ReadString('\n')
	}
	lock, err := j.dir.LockHost(context.Background(), time.Minute)
	if err != nil {
		return complain(err)
	}
	defer lock.Release()
	step("locked")
	c, err := j.Begin(owner, testKind, path)
	if err != nil {
		fmt.Println("refused")
		return 0
	}
	step("begun")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return complain(err)
	}
	step("made")
	if err := c.Settle(nil); err == nil {
		fmt.Println("settled")
		return 0
	}
	if err := errors.Join(os.Remove(path), c.Undone()); err != nil {
		return complain(err)
	}
	fmt.Println("taken back")
	return 0
}
