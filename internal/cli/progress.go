// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"

	"memline/internal/record"
)

// Progress reports how far a long step has come: records at most four times a second, and a bar where stderr is a terminal.
// It is safe for concurrent use.
type Progress struct {
	mu    sync.Mutex
	env   *Env
	phase string
	done  int64
	total int64
	last  time.Time
	bar   *progressbar.ProgressBar
}

const progressInterval = 250 * time.Millisecond

// Progress starts reporting a step over total bytes.
func (e *Env) Progress(phase string, total int64) *Progress {
	p := &Progress{env: e, phase: phase, total: total, last: time.Now()}
	if e.terminal && !e.options.Quiet {
		p.bar = progressbar.NewOptions64(total,
			progressbar.OptionSetWriter(e.Stderr),
			progressbar.OptionSetDescription(phase),
			progressbar.OptionShowBytes(true),
			progressbar.OptionUseIECUnits(true),
			progressbar.OptionThrottle(progressInterval),
			progressbar.OptionEnableColorCodes(os.Getenv("NO_COLOR") == ""),
			progressbar.OptionClearOnFinish())
	}
	return p
}

// Add counts bytes done.
func (p *Progress) Add(bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += bytes
	if now := time.Now(); now.Sub(p.last) >= progressInterval {
		p.last = now
		p.env.Emit("progress", record.Progress{Phase: p.phase, DoneBytes: p.done, TotalBytes: p.total})
		if p.bar != nil {
			p.bar.Set64(p.done)
		}
	}
}

// Done clears the bar.
func (p *Progress) Done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		p.bar.Finish()
	}
}
