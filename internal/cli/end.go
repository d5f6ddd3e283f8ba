// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"

	"memline/internal/exit"
	"memline/internal/record"
)

// printer is stdout for tables: the first failed write ends the run, as one of a record does.
type printer struct {
	w    io.Writer
	stop context.CancelCauseFunc
	err  error
}

func (p *printer) Write(b []byte) (int, error) {
	if p.err != nil {
		return 0, p.err
	}
	n, err := p.w.Write(b)
	if err != nil {
		p.err = err
		p.stop(writeFailure(err))
	}
	return n, err
}

// failedWrite is the first failure to write to stdout, classified; nil while all is well.
func (e *Env) failedWrite() error {
	if err := errors.Join(e.Err(), e.printed.err); err != nil {
		return writeFailure(err)
	}
	return nil
}

// finish writes the last records and maps the work's error to the exit code.
func (e *Env) finish(ctx context.Context, err error) int {
	err = cause(ctx, err)
	if failed := e.failedWrite(); failed != nil { // nothing is read any more, and most that the work says follows from it
		if code, _ := exit.Code(failed); code == exit.ReaderGone && err != nil && err.Error() != context.Cause(ctx).Error() {
			e.complain(err) // but not a clean-up that failed
		}
		err = failed
	}
	code, reason := exit.Code(err)
	if code == exit.Usage && e.Seq() == 0 { // found out too late for the parser, still a usage error with an empty stdout
		return usage(e.Stderr, e.tool.Name, err)
	}
	end := record.End{Reason: endReason(ctx, code, reason), ExitCode: code, Complete: code == exit.OK && e.Lost == 0, Dropped: e.Lost}
	if code != exit.OK && code != exit.ReaderGone {
		if end.Reason != "signal" {
			e.Emit("error", record.Note{Reason: reason, Detail: err.Error()})
		}
		e.complain(err)
	}
	end.Records, end.Warnings = e.Seq(), e.Warnings()
	var ru unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &ru) == nil {
		end.CPUSeconds = float64(ru.Utime.Nano()+ru.Stime.Nano()) / 1e9
		end.MaxRSSBytes = ru.Maxrss << 10
	}
	e.Emit("end", end)
	if failed := e.failedWrite(); failed != nil && code == exit.OK {
		code, _ = exit.Code(failed)
		if code != exit.ReaderGone {
			e.complain(failed)
		}
	}
	return code
}

// complain says on stderr why the run failed.
func (e *Env) complain(err error) {
	fmt.Fprintf(e.Stderr, "%s: %s\n", e.tool.Name, oneLine(err.Error()))
}

// cause puts the reason for which the context ended in the place of the bare "context canceled" that a call which was cut
// short by it returns; what else is joined to it stays.
func cause(ctx context.Context, err error) error {
	if _, joined := err.(interface{ Unwrap() []error }); !joined && errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func endReason(ctx context.Context, code int, reason string) string {
	cause, _ := exit.Code(context.Cause(ctx))
	switch {
	case code == exit.ReaderGone, code == exit.Timeout:
		return reason
	case code == exit.Interrupted, code == exit.Terminated:
		return "signal"
	case code == exit.OK && ctx.Err() != nil && (cause == exit.Interrupted || cause == exit.Terminated):
		return "signal" // an observer or a holder that was told to stop has done its work
	case code == exit.OK:
		return "done"
	case reason == "guard":
		return reason
	}
	return "error"
}

// writeFailure classifies a failed write to stdout.
func writeFailure(err error) error {
	if errors.Is(err, unix.EPIPE) || errors.Is(err, io.ErrClosedPipe) {
		return &exit.Error{Code: exit.ReaderGone, Reason: "reader_gone", Err: err}
	}
	return fmt.Errorf("writing records: %w", err)
}

// Cause is the reason why the context ended, as an error that carries its exit code; nil while it has not.
func Cause(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return context.Cause(ctx)
}
