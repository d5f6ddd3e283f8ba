// SPDX-License-Identifier: Apache-2.0

package main

import (
	"golang.org/x/sys/unix"

	"memline/internal/gauge"
	"memline/internal/kernel"
)

// measured is what every phase tells about itself. Vmstat and PSI count the whole system.
type measured struct {
	Bytes          int64    `json:"bytes" doc:"memory that the phase went over"`
	Pages          int64    `json:"pages" doc:"the same in the kernel's pages"`
	WallNs         int64    `json:"wall_ns" doc:"from the start of all workers to the end of the last one"`
	BytesPerSecond *float64 `json:"bytes_per_second" doc:"bytes over wall_ns; null for a phase that goes over none"`
	threadUse

	Pgfault        *int64 `json:"pgfault" doc:"page faults" kernel:"/proc/vmstat"`
	Pgmajfault     *int64 `json:"pgmajfault" doc:"major page faults" kernel:"/proc/vmstat"`
	Pswpin         *int64 `json:"pswpin" doc:"pages read from swap devices" kernel:"/proc/vmstat"`
	Pswpout        *int64 `json:"pswpout" doc:"pages written to swap devices" kernel:"/proc/vmstat"`
	SwpinZero      *int64 `json:"swpin_zero" doc:"zero pages brought back without a device" kernel:"/proc/vmstat"`
	SwpoutZero     *int64 `json:"swpout_zero" doc:"zero pages swapped out without a device" kernel:"/proc/vmstat"`
	Zswpin         *int64 `json:"zswpin" doc:"pages read from zswap" kernel:"/proc/vmstat"`
	Zswpout        *int64 `json:"zswpout" doc:"pages stored in zswap" kernel:"/proc/vmstat"`
	ThpSwpout      *int64 `json:"thp_swpout" doc:"huge pages swapped out whole" kernel:"/proc/vmstat"`
	PgscanDirect   *int64 `json:"pgscan_direct" doc:"pages scanned by direct reclaim" kernel:"/proc/vmstat"`
	PgstealDirect  *int64 `json:"pgsteal_direct" doc:"pages reclaimed by direct reclaim" kernel:"/proc/vmstat"`
	RefaultAnon    *int64 `json:"workingset_refault_anon" doc:"anonymous pages that came back soon after they were reclaimed" kernel:"/proc/vmstat"`
	PSISomeNs      *int64 `json:"psi_memory_some_ns" doc:"time in which some task stood still for memory; null where PSI is off" kernel:"/proc/pressure/memory"`
	PSIFullNs      *int64 `json:"psi_memory_full_ns" doc:"time in which all tasks stood still for memory; null where PSI is off" kernel:"/proc/pressure/memory"`
	StealNs        *int64 `json:"steal_ns" doc:"CPU time that the hypervisor gave to others, in steps of 10 ms; null when unreadable" kernel:"/proc/stat"`
	SentinelBefore int64  `json:"sentinel_before_ns" doc:"time of a fixed piece of work just before: how fast the machine was"`
	SentinelAfter  int64  `json:"sentinel_after_ns" doc:"time of the same work just after"`
	Contaminated   *bool  `json:"contaminated" doc:"the system's swap counters do not match the pages of this phase (other processes swapped too, or the device refused pages), or pages to read back were not in swap; null where it cannot be told"`
}

// threadUse is what the worker threads used, summed.
type threadUse struct {
	ThreadCPUNs         int64 `json:"thread_cpu_ns" doc:"CPU time of the worker threads, summed (CLOCK_THREAD_CPUTIME_ID)"`
	MinorFaults         int64 `json:"minor_faults" doc:"page faults of the worker threads that needed no device"`
	MajorFaults         int64 `json:"major_faults" doc:"page faults of the worker threads that read from swap"`
	InvoluntarySwitches int64 `json:"involuntary_switches" doc:"times a worker thread was taken off its CPU"`
}

// currentThread reads the calling thread's counters; lock the goroutine to it.
func currentThread() threadUse {
	var ru unix.Rusage
	unix.Getrusage(unix.RUSAGE_THREAD, &ru) // cannot fail with these arguments
	return threadUse{ThreadCPUNs: gauge.ThreadCPU(), MinorFaults: ru.Minflt, MajorFaults: ru.Majflt, InvoluntarySwitches: ru.Nivcsw}
}

func (u *threadUse) add(after, before threadUse) {
	u.ThreadCPUNs += after.ThreadCPUNs - before.ThreadCPUNs
	u.MinorFaults += after.MinorFaults - before.MinorFaults
	u.MajorFaults += after.MajorFaults - before.MajorFaults
	u.InvoluntarySwitches += after.InvoluntarySwitches - before.InvoluntarySwitches
}

// counters are the system's counters at one moment.
type counters struct {
	vmstat kernel.Vmstat // nil when unreadable
	stall  kernel.Stall
	psi    bool
	stolen *int64
}

func readCounters(root kernel.FS) counters {
	var c counters
	c.vmstat, _ = root.Vmstat() // a nil map gives null for every key
	c.stall, c.psi = root.MemoryStall()
	c.stolen = gauge.Stolen(root)
	return c
}

// since fills in what the system counted between two moments.
func (m *measured) since(before, after counters) {
	for _, k := range []struct {
		key   string
		field **int64
	}{
		{"pgfault", &m.Pgfault}, {"pgmajfault", &m.Pgmajfault}, {"pswpin", &m.Pswpin}, {"pswpout", &m.Pswpout},
		{"swpin_zero", &m.SwpinZero}, {"swpout_zero", &m.SwpoutZero}, {"zswpin", &m.Zswpin}, {"zswpout", &m.Zswpout},
		{"thp_swpout", &m.ThpSwpout}, {"pgscan_direct", &m.PgscanDirect}, {"pgsteal_direct", &m.PgstealDirect},
		{"workingset_refault_anon", &m.RefaultAnon},
	} {
		if before.vmstat != nil {
			*k.field = after.vmstat.Since(before.vmstat, k.key)
		}
	}
	if before.psi && after.psi {
		some := int64(after.stall.SomeUsec-before.stall.SomeUsec) * 1000
		full := int64(after.stall.FullUsec-before.stall.FullUsec) * 1000
		m.PSISomeNs, m.PSIFullNs = &some, &full
	}
	m.StealNs = gauge.Since(before.stolen, after.stolen)
}

// traffic is the number of pages that went to swap and came back, wherever the kernel kept them: on a device, in zswap, or
// as a mark for a zero page. Counters that this kernel does not have count nothing; without pswpin and pswpout it is unknown.
func (m *measured) traffic() (out, in int64, known bool) {
	if m.Pswpout == nil || m.Pswpin == nil {
		return 0, 0, false
	}
	sum := func(fields ...*int64) (n int64) {
		for _, f := range fields {
			if f != nil {
				n += *f
			}
		}
		return n
	}
	return sum(m.Pswpout, m.SwpoutZero, m.Zswpout), sum(m.Pswpin, m.SwpinZero, m.Zswpin), true
}
