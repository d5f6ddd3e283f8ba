// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"memline/internal/anon"
	"memline/internal/cli"
	"memline/internal/codec"
	"memline/internal/exit"
	"memline/internal/gauge"
	"memline/internal/kernel"
	"memline/internal/pages"
)

// batchPages is how many pages are compressed, or brought back, between two looks at the clock. Reading the clocks
// costs below 1 us, so below 4 ns a page; 1 MiB of pages brought back stays in the second-level cache until compared.
const batchPages = 256

// coder is a codec as it is measured. Codecs of internal/codec are coders.
type coder interface {
	Name() string
	Append(dst, page []byte) []byte
	Decompress(page, stored []byte) error
}

// bench holds the pages and the room for their stored forms. All of it is resident before anything is timed.
type bench struct {
	root      kernel.FS
	generator *pages.Generator
	sentinel  *gauge.Sentinel
	data      *anon.Region // the pages
	store     *anon.Region // stored forms, one after the other
	lengths   []uint16     // stored length of each page
	back      []byte       // one batch of pages brought back
}

// newBench maps the memory that the plan names and fills it with pages. step is told the bytes filled since its last
// call. Close it to unmap.
func newBench(ctx context.Context, root kernel.FS, p plan, step func(bytes int64)) (b *bench, err error) {
	b = &bench{
		root:      root,
		generator: p.generator,
		sentinel:  gauge.NewSentinel(),
		lengths:   make([]uint16, p.Pages),
		back:      make([]byte, batchPages*pages.PageSize),
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	// Base pages for every run, whatever the host's setting: huge ones would come or not come by chance.
	if b.data, err = anon.Map(p.SizeBytes, anon.Never); err != nil {
		return b, exit.New(exit.Refused, "memory", "%w", err)
	}
	if b.store, err = anon.Map(p.SizeBytes+codec.Room, anon.Never); err != nil {
		return b, exit.New(exit.Refused, "memory", "%w", err)
	}
	data, store := b.data.Bytes(), b.store.Bytes()
	for at := 0; at < len(store); at += anon.Chunk {
		if cause := cli.Cause(ctx); cause != nil {
			return b, fmt.Errorf("%w after filling %s of %s", cause, cli.FormatBytes(int64(at)), cli.FormatBytes(p.SizeBytes))
		}
		if err := anon.Populate(store[at:min(at+anon.Chunk, len(store))]); err != nil {
			return b, err
		}
		part := data[min(at, len(data)):min(at+anon.Chunk, len(data))]
		if err := anon.Populate(part); err != nil {
			return b, err
		}
		b.generator.Fill(part, int64(at/pages.PageSize))
		step(int64(len(part)))
	}
	return b, nil
}

func (b *bench) close() error {
	var errs []error
	for _, r := range []*anon.Region{b.data, b.store} {
		if r != nil {
			errs = append(errs, r.Unmap())
		}
	}
	return errors.Join(errs...)
}

// measure compresses all pages with the codec, brings them all back, and compares each with what it has to be. The
// calling goroutine must be locked to its thread, whose CPU time is measured. step is called between batches, with the
// meters stopped, and told the bytes done since its last call.
func (b *bench) measure(ctx context.Context, c coder, step func(bytes int64)) (figures, *lengths, error) {
	f := figures{Codec: c.Name()}
	stolen := gauge.Stolen(b.root)
	f.SentinelBeforeNs = b.sentinel.Time()
	var compress, decompress meter
	if err := b.compress(ctx, c, &compress, step); err != nil {
		return f, nil, err
	}
	if err := b.decompress(ctx, c, &decompress, &f, step); err != nil {
		return f, nil, err
	}
	f.SentinelAfterNs = b.sentinel.Time()
	f.StealNs = gauge.Since(stolen, gauge.Stolen(b.root))
	f.CompressCPUNs, f.CompressWallNs = compress.cpu, compress.wall.Nanoseconds()
	f.DecompressCPUNs, f.DecompressWallNs = decompress.cpu, decompress.wall.Nanoseconds()
	f.HeapAllocs = int64(compress.allocs + decompress.allocs)
	l := b.tally(&f)
	f.ratios = f.ratiosOf(l)
	return f, l, nil
}

func (b *bench) compress(ctx context.Context, c coder, m *meter, step func(int64)) error {
	data, store := b.data.Bytes(), b.store.Bytes()[:0]
	for first := 0; first < len(b.lengths); first += batchPages {
		if err := cli.Cause(ctx); err != nil {
			return err
		}
		last := min(first+batchPages, len(b.lengths))
		m.start()
		for i := first; i < last; i++ {
			before := len(store)
			store = c.Append(store, data[i*pages.PageSize:][:pages.PageSize])
			b.lengths[i] = uint16(len(store) - before)
		}
		m.stop()
		step(int64(last-first) * pages.PageSize)
	}
	return nil
}

func (b *bench) decompress(ctx context.Context, c coder, m *meter, f *figures, step func(int64)) error {
	store := b.store.Bytes()
	for first := 0; first < len(b.lengths); first += batchPages {
		if err := cli.Cause(ctx); err != nil {
			return err
		}
		back := b.back[:(min(first+batchPages, len(b.lengths))-first)*pages.PageSize]
		// Leftovers of another codec must not pass for what this one should have written.
		clear(back)
		m.start()
		for i := 0; i < len(back); i += pages.PageSize {
			n := int(b.lengths[first+i/pages.PageSize])
			if err := c.Decompress(back[i:i+pages.PageSize], store[:n]); err != nil {
				return fmt.Errorf("page %d: %w; the codec cannot be trusted with data here", first+i/pages.PageSize, err)
			}
			store = store[n:]
		}
		m.stop()
		if page, offset, ok := b.generator.Verify(back, int64(first)); !ok {
			return fmt.Errorf("%s brought page %d back wrong, first at byte %d; the codec or this machine's memory cannot be trusted",
				c.Name(), page, offset)
		}
		f.VerifiedPages += int64(len(back) / pages.PageSize)
		step(int64(len(back)))
	}
	return nil
}

// tally adds up the stored lengths.
func (b *bench) tally(f *figures) *lengths {
	l := new(lengths)
	for i, n := range b.lengths {
		l[n]++
		f.Pages++
		f.OrigBytes += pages.PageSize
		f.ComprBytes += int64(n)
		if class := b.generator.Class(int64(i)); class == pages.Zeros || class == pages.Same {
			f.SamePages++
		} else {
			f.NonsameComprBytes += int64(n)
		}
		if n == pages.PageSize {
			f.RawPages++
		}
		if n >= hugeLength {
			f.HugePages++
		}
	}
	return l
}

// meter adds up what the calling thread spends, and the process allocates, between start and stop.
type meter struct {
	cpu    int64 // nanoseconds
	wall   time.Duration
	allocs uint64 // heap objects

	cpuAt    int64
	wallAt   time.Time
	allocsAt uint64
	stats    runtime.MemStats // kept here, since one made for each reading would be an allocation itself
}

// The cheapest reading is the innermost, so that none is charged for the others.
func (m *meter) start() {
	runtime.ReadMemStats(&m.stats)
	m.allocsAt = m.stats.Mallocs
	m.wallAt = time.Now()
	m.cpuAt = gauge.ThreadCPU()
}

func (m *meter) stop() {
	m.cpu += gauge.ThreadCPU() - m.cpuAt
	m.wall += time.Since(m.wallAt)
	runtime.ReadMemStats(&m.stats)
	m.allocs += m.stats.Mallocs - m.allocsAt
}
