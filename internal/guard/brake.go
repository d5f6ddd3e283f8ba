// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"sync/atomic"
	"time"

	"memline/internal/kernel"
)

// Brake watches the host from a goroutine of its own and calls stop once, with the reason, when the limits come near.
type Brake struct {
	stop    func(error)
	watch   *watch
	meminfo *kernel.File
	psi     *kernel.File // nil where PSI is off
	begun   time.Time
	grown   atomic.Int64
	growing atomic.Bool
	quit    chan struct{}
	done    chan struct{}
}

// NewBrake starts to watch. The files are opened now, and looking at them allocates nothing, so that it works when memory
// has run out.
func NewBrake(root kernel.FS, limits Limits, stop func(error)) (*Brake, error) {
	meminfo, err := root.OpenFile("proc/meminfo")
	if err != nil {
		return nil, err
	}
	b := &Brake{stop: stop, meminfo: meminfo, begun: time.Now(), quit: make(chan struct{}), done: make(chan struct{})}
	if psi, err := root.OpenFile("proc/pressure/memory"); err == nil {
		if _, err := psi.Stall(); err == nil {
			b.psi = psi
		} else {
			psi.Close() // compiled in and off: reading it fails
		}
	}
	limits.Stall = limits.Stall && b.psi != nil
	b.watch = newWatch(limits)
	go b.run()
	return b, nil
}

// Grow counts bytes that the process has taken. It may be called from any goroutine.
func (b *Brake) Grow(bytes int64) { b.grown.Add(bytes) }

// Growing says whether the process is taking memory now; while it is not, only the floor of available memory counts.
func (b *Brake) Growing(on bool) { b.growing.Store(on) }

// Close stops watching.
func (b *Brake) Close() {
	close(b.quit)
	<-b.done
	b.meminfo.Close()
	if b.psi != nil {
		b.psi.Close()
	}
}

func (b *Brake) run() {
	defer close(b.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-b.quit:
			return
		case <-timer.C:
		}
		next, err := b.look()
		if err != nil {
			b.stop(err)
			return
		}
		timer.Reset(next)
	}
}

func (b *Brake) look() (next time.Duration, stop error) {
	now := observation{at: time.Since(b.begun), growing: b.growing.Load(), grown: b.grown.Load()}
	var err error
	if now.mem, err = b.meminfo.Meminfo(); err != nil {
		return 0, braked("the host's memory cannot be read any more (%w)", err)
	}
	if b.psi != nil {
		if s, err := b.psi.Stall(); err == nil {
			now.fullUsec = s.FullUsec
		} else {
			now.fullUsec = b.watch.last.fullUsec
		}
	}
	return b.watch.judge(now)
}
