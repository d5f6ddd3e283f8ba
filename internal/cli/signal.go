// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"io"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"

	"memline/internal/exit"
)

// interruptible returns a context that INT, TERM, HUP and a closed stdout end, each with its own cause, the function that
// ends it, and the one that gives the signals back. A second INT finds the default action again and kills at once; the
// undo journal covers what is left. HUP stays ignored for a process that was started so (nohup); INT does not, since a
// shell without job control starts its background processes with INT ignored, and scripts end them with it.
func interruptible(parent context.Context, stdout io.Writer) (ctx context.Context, cancel context.CancelCauseFunc, release func()) {
	ctx, cancel = context.WithCancelCause(parent)
	wanted := []os.Signal{unix.SIGINT, unix.SIGTERM}
	if !signal.Ignored(unix.SIGHUP) {
		wanted = append(wanted, unix.SIGHUP)
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, wanted...)
	// Without a handler the Go runtime dies of SIGPIPE on stdout; with one, the write fails with EPIPE and we clean up.
	pipes := make(chan os.Signal, 1)
	signal.Notify(pipes, unix.SIGPIPE)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case s := <-signals:
				if s == unix.SIGINT {
					signal.Reset(unix.SIGINT)
					cancel(exit.New(exit.Interrupted, "signal", "interrupted"))
				} else {
					cancel(exit.New(exit.Terminated, "signal", "terminated"))
				}
			case <-pipes:
			case <-done:
				return
			}
		}
	}()
	if f, ok := stdout.(file); ok {
		go watchReader(ctx, f, cancel)
	}
	return ctx, cancel, func() {
		signal.Stop(signals)
		signal.Stop(pipes)
		close(done)
		cancel(nil)
	}
}

// file is the part of *os.File that tells a pipe.
type file interface {
	Fd() uintptr
	Stat() (os.FileInfo, error)
}

// watchReader ends the context when the reader of a pipe goes away, which a process that writes nothing for an hour
// would not notice.
func watchReader(ctx context.Context, f file, cancel context.CancelCauseFunc) {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		return
	}
	for ctx.Err() == nil {
		fds := []unix.PollFd{{Fd: int32(f.Fd())}}
		const everyMilliseconds = 200
		if n, err := unix.Poll(fds, everyMilliseconds); err == nil && n > 0 && fds[0].Revents&unix.POLLERR != 0 {
			cancel(exit.New(exit.ReaderGone, "reader_gone", "the reader of stdout went away"))
			return
		}
	}
}
