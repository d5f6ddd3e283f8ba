// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"memline/internal/kernel"
)

// sentinelRounds makes the sentinel take about 1 ms on a current machine. It is the work that mempressure times, too, so
// that the two compare within a run.
const sentinelRounds = 1 << 19

// sentinel returns the wall time in nanoseconds of a fixed piece of work in registers. Only the machine can make it
// slower: a busy sibling, a lower clock, another process, a hypervisor.
func sentinel() int64 {
	begun := time.Now()
	x := uint64(begun.UnixNano()) | 1
	for range sentinelRounds {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	elapsed := time.Since(begun).Nanoseconds()
	if x == 0 { // never, each step being a bijection that keeps zero for itself; but the compiler keeps the loop for it
		return 0
	}
	return elapsed
}

// tick is the length of a clock tick of /proc/stat: USER_HZ is 100 on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// stolen returns the nanoseconds that the hypervisor has kept from this guest since boot, all CPUs together, or nil
// where the kernel does not say.
func stolen(root kernel.FS) *int64 {
	t, err := root.CPUTime()
	if err != nil {
		return nil
	}
	ns := int64(t.StealTicks) * int64(tick)
	return &ns
}
