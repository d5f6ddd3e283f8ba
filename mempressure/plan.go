// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"

	"memline/internal/cli"
	"memline/internal/codec"
	"memline/internal/exit"
	"memline/internal/guard"
	"memline/internal/kernel"
	"memline/internal/pages"
)

// start is the first record.
type start struct {
	cli.Start
	options
	plan
	StateDir *string `json:"state_dir" doc:"folder of the host lock and the undo journal; null where this user has none, and a warning says why"`
}

// plan is what will be done, with every size in bytes.
type plan struct {
	AvailableBytes   int64            `json:"available_bytes" doc:"MemAvailable that percentages are of"`
	Bytes            int64            `json:"bytes" doc:"memory to fill: the size rounded up to whole pages"`
	Pages            int64            `json:"pages" doc:"the same in the kernel's pages"`
	ReserveBytes     int64            `json:"reserve_bytes" doc:"what must stay available"`
	FloorBytes       int64            `json:"floor_bytes" doc:"MemAvailable at which the guard brakes"`
	MemoryLimitBytes *int64           `json:"memory_limit_bytes" doc:"the fence; null without one"`
	PoolBytes        *int64           `json:"pool_bytes" doc:"memory that the swapped part is expected to take in zram; null without a fence"`
	PoolRatio        *float64         `json:"pool_ratio" doc:"pages / pool, from lz4 on a sample of the content less a tenth for the pool; null without a fence"`
	ChargeBytes      int64            `json:"charge_bytes" doc:"what admission asks for: the size, or the fence and the pool"`
	Phases           []string         `json:"phases" doc:"the phases in order"`
	ClassZeros       *int64           `json:"class_zeros_pages" doc:"content pages (4 KiB) that are all zero; null, like its siblings, for a size beyond all memory"`
	ClassSame        *int64           `json:"class_same_pages" doc:"content pages of one repeated word"`
	ClassSequential  *int64           `json:"class_sequential_pages" doc:"content pages of counters"`
	ClassRandom      *int64           `json:"class_random_pages" doc:"content pages of incompressible bytes"`
	ClassText        *int64           `json:"class_text_pages" doc:"content pages of prose"`
	ClassPointers    *int64           `json:"class_pointers_pages" doc:"content pages of heap objects"`
	content          *pages.Generator // makes the pages
}

// The phases, in the order that they come in.
const (
	phaseFill     = "fill"
	phaseTouch    = "touch"
	phaseHold     = "hold"
	phasePageout  = "pageout"
	phaseReadback = "readback"
	phaseVerify   = "verify"
)

// maxWorkers is far above any use and below what exhausts the machine's threads.
const maxWorkers = 1024

// maxSeed is the largest number that every reader of records takes exactly.
const maxSeed = 1 << 53

func (o *options) validate() error {
	usage := func(format string, args ...any) error { return exit.New(exit.Usage, "usage", format, args...) }
	if _, err := pages.Parse(o.Pattern); err != nil {
		return usage("--pattern: %w", err)
	}
	switch {
	case o.Seed > maxSeed:
		return usage("--seed: %d is more than 2^53, which a record cannot carry exactly", o.Seed)
	case o.Size.IsZero():
		return usage("SIZE: 0 fills nothing; give a size such as 512M, 2G or 25%%")
	case o.MemoryLimit.IsSet() && !o.MemoryLimit.IsPercent() && o.MemoryLimit.Of(0) < ownBytes:
		return usage("--memory-limit: %s is less than the %dM that this process itself may need", o.MemoryLimit, ownBytes>>20)
	case o.Workers < 1 || o.Workers > maxWorkers:
		return usage("--workers: %d is not between 1 and %d", o.Workers, maxWorkers)
	case o.Reserve.IsSet() && !o.Reserve.IsPercent() && o.Reserve.Of(0) < guard.MinReserve:
		return usage("--reserve: %s is less than the %dM that must always stay available", o.Reserve, guard.MinReserve>>20)
	case o.Readback != "none" && !o.Pageout && !o.MemoryLimit.IsSet():
		return usage("--readback: nothing is swapped out; add --pageout, or use --touch for pages in memory")
	}
	for _, phase := range o.PauseAfter {
		if !slices.Contains(o.phases(), phase) {
			return usage("--pause-after: %q is not a phase of this run; its phases are %s", phase, strings.Join(o.phases(), ", "))
		}
	}
	return nil
}

// phases lists what the options ask for.
func (o *options) phases() []string {
	names := []string{phaseFill}
	for _, p := range []struct {
		name string
		on   bool
	}{
		{phaseTouch, o.Touch != "none"},
		{phaseHold, o.Hold.Duration > 0},
		{phasePageout, o.Pageout},
		{phaseReadback, o.Readback != "none"},
		{phaseVerify, o.Verify},
	} {
		if p.on {
			names = append(names, p.name)
		}
	}
	return names
}

// makePlan turns options into sizes on this host.
func makePlan(o *options, m kernel.Meminfo, swaps []kernel.Swap) (plan, error) {
	page := int64(kernel.PageSize())
	size := o.Size.Of(m.AvailableBytes)
	p := plan{AvailableBytes: m.AvailableBytes, Pages: (size + page - 1) / page, Phases: o.phases()}
	p.Bytes = p.Pages * page
	p.ReserveBytes = guard.DefaultReserve(m.TotalBytes)
	if o.Reserve.IsSet() {
		p.ReserveBytes = o.Reserve.Of(m.AvailableBytes)
	}
	p.FloorBytes = guard.Floor(p.ReserveBytes)
	p.ChargeBytes = p.Bytes

	pattern, err := pages.Parse(o.Pattern)
	if err != nil {
		return p, err
	}
	p.content = pages.New(pattern, o.Seed)
	if p.Bytes <= m.TotalBytes+m.SwapTotalBytes { // counting goes over every page; what cannot fit is refused anyway
		p.countClasses()
	}
	if o.MemoryLimit.IsSet() {
		return p, p.fence(o.MemoryLimit.Of(m.AvailableBytes), swaps)
	}
	return p, nil
}

func (p *plan) countClasses() {
	fields := map[pages.Class]**int64{
		pages.Zeros: &p.ClassZeros, pages.Same: &p.ClassSame, pages.Sequential: &p.ClassSequential,
		pages.Random: &p.ClassRandom, pages.Text: &p.ClassText, pages.Pointers: &p.ClassPointers,
	}
	for _, field := range fields {
		*field = new(int64)
	}
	for _, c := range p.content.Histogram(p.Bytes / pages.PageSize) {
		**fields[c.Class] = c.Pages
	}
}

// poolOverhead is how much larger a zram pool is than what it holds; 1 to 9 % was measured.
const poolOverhead = 1.1

// fence charges the limit and, where a swap device keeps its pages in memory, the pool that the rest will take.
func (p *plan) fence(limit int64, swaps []kernel.Swap) error {
	p.MemoryLimitBytes = &limit
	sample := make([]byte, min(samplePages, p.Bytes/pages.PageSize)*pages.PageSize)
	p.content.Fill(sample, 0)
	stored, err := storedBytes("lz4", sample)
	if err != nil {
		return err
	}
	ratio := max(float64(len(sample))/(poolOverhead*float64(max(stored, 1))), 1)
	var pool int64
	if slices.ContainsFunc(swaps, func(s kernel.Swap) bool { return strings.HasPrefix(s.Device, "/dev/zram") }) {
		pool = int64(float64(max(p.Bytes-limit, 0)) / ratio)
	}
	p.PoolBytes, p.PoolRatio = &pool, &ratio
	p.ChargeBytes = min(limit, p.Bytes) + pool
	return nil
}

// ownBytes is what the process needs behind its fence beside the test memory: heap, page tables, orders.
const ownBytes = 32 << 20

// swapBytes is how much of the memory will go to swap.
func (p *plan) swapBytes() int64 {
	switch {
	case slices.Contains(p.Phases, phasePageout):
		return p.Bytes
	case p.MemoryLimitBytes != nil:
		return max(p.Bytes+ownBytes-*p.MemoryLimitBytes, 0)
	}
	return 0
}

// admit refuses a plan that this host has no room for now.
func (p *plan) admit(m kernel.Meminfo) error {
	if err := guard.CheckReserve("--reserve", p.ReserveBytes); err != nil {
		return err
	}
	if limit := p.MemoryLimitBytes; limit != nil && *limit < ownBytes {
		return exit.New(exit.Refused, "memory", "--memory-limit is %d MiB here, less than the %d MiB that this process itself may need", *limit>>20, ownBytes>>20)
	}
	if need := p.swapBytes(); need > 0 {
		if err := guard.AdmitSwap(need, m); err != nil {
			return err
		}
	}
	return guard.Admit(p.ChargeBytes, p.ReserveBytes, m)
}

// samplePages is how many pages are compressed to say what the content is like.
const samplePages = 256

// storedBytes is what a codec makes of whole content pages.
func storedBytes(name string, content []byte) (int64, error) {
	c, err := codec.New(name)
	if err != nil {
		return 0, fmt.Errorf("sampling the content: %w", err)
	}
	stored, _, err := c.Sizes(content)
	if err != nil {
		return 0, fmt.Errorf("sampling the content: %w", err)
	}
	return stored, nil
}
