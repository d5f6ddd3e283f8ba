// SPDX-License-Identifier: Apache-2.0

package main

import (
	"golang.org/x/sys/unix"

	"memline/internal/cli"
	"memline/internal/exit"
	"memline/internal/guard"
	"memline/internal/kernel"
)

// start is the first record.
type start struct {
	cli.Start
	options
	plan
	StateDir *string `json:"state_dir" doc:"folder of the undo journal; null where this user has none, and a warning says why"`
}

// plan is what will be locked, and every number that it follows from.
type plan struct {
	AvailableBytes int64  `json:"available_bytes" doc:"MemAvailable that the plan and percentages are of"`
	TestBytes      *int64 `json:"test_bytes" doc:"left for the test; null without --for-test"`
	ReserveBytes   int64  `json:"reserve_bytes" doc:"left beside it: --buffer, --leave or --reserve, or their default"`
	LockBytes      int64  `json:"lock_bytes" doc:"memory to lock, in whole pages; 0 is a valid plan"`
	FloorBytes     int64  `json:"floor_bytes" doc:"MemAvailable at which the guard gives the memory back; 0 where none is locked"`
	LimitBytes     *int64 `json:"limit_bytes" doc:"RLIMIT_MEMLOCK; null where it is unlimited or CAP_IPC_LOCK lifts it"`
}

func (o *options) validate() error {
	usage := func(format string, args ...any) error { return exit.New(exit.Usage, "usage", format, args...) }
	given := 0
	for _, s := range []cli.Size{o.Size, o.Leave, o.ForTest} {
		if s.IsSet() {
			given++
		}
	}
	switch {
	case given != 1:
		return usage("give exactly one of SIZE, --leave SIZE and --for-test SIZE, such as memlock 512M")
	case o.Buffer.IsSet() && !o.ForTest.IsSet():
		return usage("--buffer: it belongs to --for-test; with SIZE use --reserve")
	case o.Reserve.IsSet() && !o.Size.IsSet():
		return usage("--reserve: it belongs to SIZE; --leave and --buffer say themselves what stays available")
	case o.ForTest.IsZero():
		return usage("--for-test: 0 tests nothing; give a size such as 256M")
	}
	for _, r := range []struct {
		name string
		size cli.Size
	}{{"--leave", o.Leave}, {"--buffer", o.Buffer}, {"--reserve", o.Reserve}} {
		if r.size.IsSet() && (r.size.IsZero() || !r.size.IsPercent() && r.size.Of(0) < guard.MinReserve) {
			return usage("%s: %s is less than the %dM that must always stay available", r.name, r.size, guard.MinReserve>>20)
		}
	}
	return nil
}

// makePlan turns options into bytes on this host.
func makePlan(o *options, m kernel.Meminfo) plan {
	page := int64(kernel.PageSize())
	p := plan{AvailableBytes: m.AvailableBytes, ReserveBytes: guard.DefaultReserve(m.TotalBytes), LimitBytes: lockLimit()}
	for _, s := range []cli.Size{o.Reserve, o.Buffer, o.Leave} {
		if s.IsSet() {
			p.ReserveBytes = s.Of(m.AvailableBytes)
		}
	}
	switch {
	case o.Size.IsSet():
		p.LockBytes = wholePages(o.Size.Of(m.AvailableBytes) + page - 1)
	case o.ForTest.IsSet():
		test := o.ForTest.Of(m.AvailableBytes)
		p.TestBytes = &test
		p.LockBytes = wholePages(max(m.AvailableBytes-test-p.ReserveBytes, 0))
	default:
		p.LockBytes = wholePages(max(m.AvailableBytes-p.ReserveBytes, 0))
	}
	if p.LockBytes > 0 {
		// What --leave leaves is there to be used by others; only the host's own reserve is defended.
		p.FloorBytes = guard.Floor(min(p.ReserveBytes, guard.DefaultReserve(m.TotalBytes)))
	}
	return p
}

func wholePages(bytes int64) int64 {
	page := int64(kernel.PageSize())
	return bytes / page * page
}

// lockLimit is RLIMIT_MEMLOCK where it applies.
func lockLimit() *int64 {
	var r unix.Rlimit
	if kernel.Root().HasCapability(unix.CAP_IPC_LOCK) ||
		unix.Getrlimit(unix.RLIMIT_MEMLOCK, &r) != nil || r.Cur == unix.RLIM_INFINITY || r.Cur > 1<<53 {
		return nil
	}
	limit := int64(r.Cur)
	return &limit
}

// admit refuses what does not fit. A plan of nothing always fits.
func (p *plan) admit(m kernel.Meminfo) error {
	if p.LockBytes == 0 {
		return nil
	}
	if err := guard.CheckReserve("the reserve", p.ReserveBytes); err != nil {
		return err
	}
	return guard.Admit(p.LockBytes, p.ReserveBytes, m)
}
