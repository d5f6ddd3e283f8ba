// SPDX-License-Identifier: Apache-2.0

// Package gauge reads what every measurement needs besides the thing measured: the thread's CPU time, the time that the
// hypervisor took, and how fast the machine was just before and after.
package gauge

import (
	"time"

	"golang.org/x/sys/unix"

	"memline/internal/kernel"
)

// ThreadCPU is the CPU time of the calling thread in nanoseconds, from the scheduler's clock; lock the goroutine to its
// thread. The user and system times of rusage are only samples, 250 a second.
func ThreadCPU() int64 {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts) // cannot fail with these arguments
	return ts.Nano()
}

// tick is the unit of /proc/stat: USER_HZ is 100 on every architecture that Go runs on.
const tick = 10 * time.Millisecond

// Stolen is the time in nanoseconds that the hypervisor has kept from this machine since boot, all CPUs together, in
// steps of 10 ms; nil where the kernel does not say.
func Stolen(root kernel.FS) *int64 {
	cpu, err := root.CPUTime()
	if err != nil {
		return nil
	}
	ns := int64(cpu.StealTicks) * int64(tick)
	return &ns
}

// Since is the growth of a reading that may be missing at either end, and then is missing.
func Since(before, after *int64) *int64 {
	if before == nil || after == nil {
		return nil
	}
	delta := *after - *before
	return &delta
}

// Sentinel times a fixed piece of work. Only the machine can make it slower: another process, a busy sibling thread, a
// lower clock, the hypervisor.
type Sentinel struct{ table []uint64 }

const (
	// sentinelWords make the table 512 KiB: in the second-level cache of a machine that is quiet, and out of it beside a
	// neighbour who uses that cache too, which work in registers alone would not feel.
	sentinelWords = 1 << 16
	// sentinelSteps take about half a millisecond on a current machine.
	sentinelSteps = 1 << 15
	// sentinelTries is how often the work is done: the fastest time counts, so that a single interruption, which a phase of
	// a hundred times that length would hardly notice, is no alarm.
	sentinelTries = 3
)

// NewSentinel prepares the work.
func NewSentinel() *Sentinel {
	s := &Sentinel{table: make([]uint64, sentinelWords)}
	for i := range s.table {
		s.table[i] = uint64(i)
	}
	s.Time() // the first time would fault the table in
	return s
}

// Time does the work three times and returns the shortest wall time in nanoseconds.
func (s *Sentinel) Time() int64 {
	shortest := s.work()
	for range sentinelTries - 1 {
		shortest = min(shortest, s.work())
	}
	return shortest
}

func (s *Sentinel) work() int64 {
	begun := time.Now()
	x := uint64(88172645463325252) // any seed but zero
	for range sentinelSteps {
		x ^= x << 13 // xorshift64: Marsaglia 2003
		x ^= x >> 7
		x ^= x << 17
		at := x % sentinelWords
		x += s.table[at] & 1
		s.table[at] = x
	}
	return time.Since(begun).Nanoseconds()
}
