// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"time"

	"memline/internal/exit"
	"memline/internal/kernel"
)

// Limits are what the brake keeps the host from reaching.
type Limits struct {
	// FloorBytes is the least MemAvailable, as Floor gives it.
	FloorBytes int64
	// PlannedBytes is all that the process means to take, as Grow counts it.
	PlannedBytes int64
	// SwapFloorBytes is the least SwapFree while memory grows, as SwapFloor gives it; 0 watches none.
	SwapFloorBytes int64
	// Stall watches PSI full while memory grows. Leave it off where the process swaps on purpose: it is then the stall.
	Stall bool
}

// Floor is the MemAvailable below which a process brakes that was admitted with this reserve: half of it, since the
// admission was right only about that moment.
func Floor(reserveBytes int64) int64 { return reserveBytes / 2 }

// SwapFloor is the SwapFree below which a growing process brakes: 5 % of the swap there is, or what is free already where
// that is less.
func SwapFloor(m kernel.Meminfo) int64 {
	const share = 0.05
	return min(int64(share*float64(m.SwapTotalBytes)), m.SwapFreeBytes/2)
}

const (
	// maxInterval and minInterval bound the time between two looks at the host; in between it follows from the rate at
	// which available memory goes and the head-room that is left. One look costs about 20 us.
	maxInterval = 200 * time.Millisecond
	minInterval = 2 * time.Millisecond
	// looksAhead is how many looks fit the time until the floor would be reached.
	looksAhead = 8
	// reaction is how long memory goes on going after the brake: the chunk under way, and the release of what was taken.
	reaction = 20 * time.Millisecond
	// stallWindow and stallShare: growing stops when all tasks stood still for memory for this share of the window.
	stallWindow = time.Second
	stallShare  = 0.2
)

// observation is one look at the host.
type observation struct {
	at       time.Duration
	mem      kernel.Meminfo
	fullUsec uint64 // PSI full total
	growing  bool
	grown    int64 // bytes that this process has taken
}

// watch judges one observation after the other.
type watch struct {
	limits Limits
	last   observation
	first  bool
	window observation // where the PSI window began
}

func newWatch(limits Limits) *watch { return &watch{limits: limits, first: true} }

// judge returns why the process must stop, or when to look again.
func (w *watch) judge(now observation) (next time.Duration, stop error) {
	defer func() { w.last, w.first = now, false }()
	head := now.mem.AvailableBytes - w.limits.FloorBytes
	if head <= 0 {
		return 0, braked("only %d MiB are available, less than the floor of %d MiB", now.mem.AvailableBytes>>20, w.limits.FloorBytes>>20)
	}
	if w.first {
		w.window = now
		return minInterval, nil
	}
	if now.growing && w.limits.SwapFloorBytes > 0 && now.mem.SwapFreeBytes < w.limits.SwapFloorBytes {
		return 0, braked("only %d MiB of swap are free, less than the floor of %d MiB", now.mem.SwapFreeBytes>>20, w.limits.SwapFloorBytes>>20)
	}
	if err := w.stall(now); err != nil {
		return 0, err
	}
	own, foreign := w.rates(now)
	if own+foreign <= 0 {
		return maxInterval, nil
	}
	// Our own growth ends with the plan, however fast it is; what others take has no end that we know.
	ahead := min(own*reaction.Seconds(), float64(max(w.limits.PlannedBytes-now.grown, 0))) + foreign*reaction.Seconds()
	if ahead >= float64(head) {
		return 0, braked("%d MiB are available and go at %.0f MiB a second, of which %.0f are not ours: the floor of %d MiB is about to be reached",
			now.mem.AvailableBytes>>20, (own+foreign)/(1<<20), foreign/(1<<20), w.limits.FloorBytes>>20)
	}
	left := time.Duration(float64(head) / (own + foreign) * float64(time.Second))
	return min(max(left/looksAhead, minInterval), maxInterval), nil
}

// rates are how fast available memory goes, in bytes a second: by our own doing, and beyond that.
func (w *watch) rates(now observation) (own, foreign float64) {
	seconds := (now.at - w.last.at).Seconds()
	if seconds <= 0 {
		return 0, 0
	}
	own = float64(now.grown-w.last.grown) / seconds
	gone := float64(w.last.mem.AvailableBytes-now.mem.AvailableBytes) / seconds
	return own, max(gone-own, 0)
}

func (w *watch) stall(now observation) error {
	if !w.limits.Stall || !now.growing {
		w.window = now
		return nil
	}
	span := now.at - w.window.at
	if span < stallWindow {
		return nil
	}
	share := float64(now.fullUsec-w.window.fullUsec) / float64(span.Microseconds())
	w.window = now
	if share > stallShare {
		return braked("all tasks stood still for memory in %.0f %% of the last %s (PSI full)", 100*share, span.Round(10*time.Millisecond))
	}
	return nil
}

func braked(format string, args ...any) error {
	return exit.New(exit.Refused, "guard", "the guard braked: "+format+"; ask for less, or end what else takes memory", args...)
}
