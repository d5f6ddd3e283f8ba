// SPDX-License-Identifier: Apache-2.0

package anon

import (
	"os"
	"slices"
	"time"
)

// Batch is the most reads that [Touch] is given at once: few enough that stopping the world never waits long for a loop
// that cannot be preempted.
const Batch = 512

// Touch reads one byte of each page of mem that order lists, in that order, and stores how long each read took, in
// nanoseconds, in ns, which has the length of order. A read's time holds one clock call, whose cost [ClockFloor] tells.
//
// Nothing else happens in the loop: no allocation and no call but the clock's, a vDSO read. Call it on a locked thread.
// The sum of the bytes is returned so that the compiler keeps the reads.
func Touch(mem []byte, order []uint32, ns []int64) (sum byte) {
	page := uintptr(os.Getpagesize())
	ns = ns[:len(order)]
	base := time.Now()
	for i, at := range order {
		before := time.Since(base)
		sum += mem[uintptr(at)*page]
		ns[i] = int64(time.Since(base) - before)
	}
	return sum
}

// ClockFloor is the median time in nanoseconds that Touch would measure for a read that takes none.
func ClockFloor() int64 {
	const reads = 4096
	ns := make([]int64, reads)
	base := time.Now()
	for i := range ns {
		before := time.Since(base)
		ns[i] = int64(time.Since(base) - before)
	}
	slices.Sort(ns)
	return ns[reads/2]
}
