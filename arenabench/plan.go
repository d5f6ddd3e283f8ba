// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"memline/internal/cli"
	"memline/internal/codec"
	"memline/internal/exit"
	"memline/internal/guard"
	"memline/internal/kernel"
	"memline/internal/pages"
	"memline/internal/record"
)

// floor is the codec that every run measures beside those asked for: a copy of the page both ways.
const floor = "raw"

const (
	// maxSeed keeps the seed exact in a record, where numbers have to survive a double.
	maxSeed = 1 << 53
	// maxPasses is far beyond use; it bounds the plan.
	maxPasses = 1000
)

// ownBytes is what a run takes beside its data: codec tables, page templates, the Go runtime. Measured on amd64 with
// every codec at once on one page: 57 MiB resident.
const ownBytes = 64 << 20

// plan is what a run does, with every size in bytes.
type plan struct {
	SizeBytes    int64    `json:"size_bytes" doc:"data to compress, whole pages"`
	Pages        int64    `json:"pages" doc:"4 KiB pages in it"`
	Codecs       []string `json:"codecs" doc:"codecs in order, each encoder once, the floor (raw) among them"`
	Passes       int      `json:"passes" doc:"measured passes over the data for each codec"`
	MemoryBytes  int64    `json:"memory_bytes" doc:"memory that the run takes: the data, the stored forms of the worst case, codecs"`
	ReserveBytes int64    `json:"reserve_bytes" doc:"memory that has to stay available beside that"`
	FloorBytes   int64    `json:"floor_bytes" doc:"MemAvailable at which the guard brakes"`
	HugeBytes    int64    `json:"huge_bytes" doc:"compressed length from which a page counts in huge_pages"`
	classes

	generator *pages.Generator
}

// classes counts the pages of each class of content; null where the data is larger than the memory, which is refused.
type classes struct {
	Zeros      *int64 `json:"class_zeros_pages" doc:"pages that are all zero"`
	Same       *int64 `json:"class_same_pages" doc:"pages of one repeated word"`
	Sequential *int64 `json:"class_sequential_pages" doc:"pages of counters"`
	Random     *int64 `json:"class_random_pages" doc:"pages of incompressible bytes"`
	Text       *int64 `json:"class_text_pages" doc:"pages of prose"`
	Pointers   *int64 `json:"class_pointers_pages" doc:"pages of heap objects"`
}

func countClasses(g *pages.Generator, n int64) classes {
	count := map[pages.Class]int64{}
	for _, c := range g.Histogram(n) {
		count[c.Class] = c.Pages
	}
	of := func(c pages.Class) *int64 { return record.Known(count[c]) }
	return classes{of(pages.Zeros), of(pages.Same), of(pages.Sequential), of(pages.Random), of(pages.Text), of(pages.Pointers)}
}

// validate checks what the parser cannot; its errors are usage errors.
func (o *codecsOptions) validate() error {
	if len(o.Codec) == 0 {
		return fmt.Errorf("--codec: no codec given; choose of %s", strings.Join(codec.Names(), ", "))
	}
	if _, err := o.names(); err != nil {
		return fmt.Errorf("--codec: %w", err)
	}
	if _, err := pages.Parse(o.Pattern); err != nil {
		return fmt.Errorf("--pattern: %w", err)
	}
	switch {
	case o.Size.IsZero():
		return fmt.Errorf("--size: 0 is no data; give a size such as 16M or 5%%")
	case !o.Size.IsPercent() && o.Size.Of(0) < pages.PageSize:
		return fmt.Errorf("--size: %s is less than one page of %d bytes; give a size such as 16M or 5%%", o.Size, pages.PageSize)
	case o.Passes < 1 || o.Passes > maxPasses:
		return fmt.Errorf("--passes: %d is not between 1 and %d", o.Passes, maxPasses)
	case o.Reserve.IsSet() && !o.Reserve.IsPercent() && o.Reserve.Of(0) < guard.MinReserve:
		return fmt.Errorf("--reserve: %s is less than the %dM that must always stay available", o.Reserve, guard.MinReserve>>20)
	case o.Seed > maxSeed:
		return fmt.Errorf("--seed: %d is more than 2^53, which a record cannot hold exactly", o.Seed)
	}
	return nil
}

// names returns the codecs asked for by the names that records use, each encoder once, with the floor last unless it
// was asked for.
func (o *codecsOptions) names() ([]string, error) {
	var names []string
	for _, name := range append(slices.Clone(o.Codec), floor) {
		c, err := codec.New(name)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(names, c.Name()) {
			names = append(names, c.Name())
		}
	}
	return names, nil
}

// plan turns valid options into a plan for a host with this memory.
func (o *codecsOptions) plan(mem kernel.Meminfo) (plan, error) {
	names, err := o.names()
	if err != nil {
		return plan{}, err
	}
	pattern, err := pages.Parse(o.Pattern)
	if err != nil {
		return plan{}, err
	}
	n := o.Size.Of(mem.AvailableBytes) / pages.PageSize
	if n == 0 {
		return plan{}, exit.New(exit.Usage, "usage", "--size: %s of the %s available is less than one page; give a size such as 16M",
			o.Size, cli.FormatBytes(mem.AvailableBytes))
	}
	const storedLength = 2 // bytes, for each page
	p := plan{
		SizeBytes:    n * pages.PageSize,
		Pages:        n,
		Codecs:       names,
		Passes:       o.Passes,
		MemoryBytes:  n*(2*pages.PageSize+storedLength) + ownBytes,
		ReserveBytes: guard.DefaultReserve(mem.TotalBytes),
		HugeBytes:    hugeLength,
		generator:    pages.New(pattern, o.Seed),
	}
	if o.Reserve.IsSet() {
		p.ReserveBytes = o.Reserve.Of(mem.AvailableBytes)
	}
	p.FloorBytes = guard.Floor(p.ReserveBytes)
	if p.SizeBytes <= mem.TotalBytes { // counting the pages of an absurd size would take longer than refusing it
		p.classes = countClasses(p.generator, n)
	}
	return p, nil
}

// orders returns the order of n codecs in each of the passes: one drawn at random, then the same backwards, and so on.
// What drifts evenly through a run then weighs the same on every codec.
func orders(n, passes int) [][]int {
	all := make([][]int, 0, passes)
	for len(all) < passes {
		order := rand.Perm(n)
		backwards := slices.Clone(order)
		slices.Reverse(backwards)
		all = append(all, order, backwards)
	}
	return all[:passes]
}
