// SPDX-License-Identifier: Apache-2.0

package main

import (
	"memline/internal/codec"
	"memline/internal/hist"
	"memline/internal/record"
)

// hugeLength is the compressed length in bytes from which zram keeps a 4 KiB page as it is, with a zsmalloc chain size
// of 8, the kernel's default: the largest class below a whole page holds 3632 bytes, 8 of which are the object's handle.
// Measured on Linux 6.18 by writing lz4 pages of every length to a zram device: 3624 is stored compressed, 3625 raw.
const hugeLength = 3625

// figures are what one codec did to the pages, in one pass or in several passes added up.
type figures struct {
	Codec             string `json:"codec" doc:"user-space codec"`
	Pages             int64  `json:"pages" doc:"4 KiB pages compressed"`
	SamePages         int64  `json:"same_pages" doc:"pages of one repeated word among them, which zram would store without a codec"`
	OrigBytes         int64  `json:"orig_bytes" doc:"bytes before compression"`
	ComprBytes        int64  `json:"compr_bytes" doc:"bytes stored; a page that does not get smaller takes 4096"`
	NonsameComprBytes int64  `json:"nonsame_compr_bytes" doc:"bytes stored for the pages that are not same-filled"`
	RawPages          int64  `json:"raw_pages" doc:"pages stored uncompressed, since compression would not make them smaller"`
	HugePages         int64  `json:"huge_pages" doc:"pages that zram with zsmalloc chain size 8 would store uncompressed: compressed length 3625 bytes or more"`
	VerifiedPages     int64  `json:"verified_pages" doc:"pages brought back and compared byte by byte"`
	CompressCPUNs     int64  `json:"compress_cpu_ns" doc:"CPU time of the thread that compressed, all pages"`
	DecompressCPUNs   int64  `json:"decompress_cpu_ns" doc:"CPU time of the thread that decompressed, all pages"`
	CompressWallNs    int64  `json:"compress_wall_ns" doc:"wall time of compressing"`
	DecompressWallNs  int64  `json:"decompress_wall_ns" doc:"wall time of decompressing"`
	HeapAllocs        int64  `json:"heap_alloc_count" doc:"heap objects that the process allocated while compressing and decompressing"`
	SentinelBeforeNs  int64  `json:"sentinel_before_ns" doc:"wall time of a fixed piece of work just before, the fastest of three; in a result the longest of its samples"`
	SentinelAfterNs   int64  `json:"sentinel_after_ns" doc:"the same just after"`
	StealNs           *int64 `json:"steal_ns" doc:"time that the hypervisor gave to others meanwhile, all CPUs, in steps of 10 ms; null where the kernel does not say"`
	ratios
}

// ratios follow from the sums and from the stored length of each page.
type ratios struct {
	CodecRatio        *float64 `json:"codec_ratio" doc:"orig_bytes / compr_bytes"`
	NonsameCodecRatio *float64 `json:"nonsame_codec_ratio" doc:"codec_ratio without the same-filled pages; null when there are no others"`
	P10Ratio          *float64 `json:"p10_ratio" doc:"ratio of single pages, 10th percentile: a tenth of the pages does no better"`
	P50Ratio          *float64 `json:"p50_ratio" doc:"median ratio of single pages"`
	P90Ratio          *float64 `json:"p90_ratio" doc:"ratio of single pages, 90th percentile"`
	QuantileMethod    string   `json:"quantile_method" doc:"how the percentiles were found: nearest rank over the lengths of all pages" enum:"exact"`
}

// sample is one codec in one pass.
type sample struct {
	figures
	Order int `json:"order" doc:"place of this measurement in the run, from 1; a pass over the data has one for each codec of the plan"`
}

// result is one codec over all passes.
type result struct {
	figures
	Passes                    int      `json:"passes" doc:"samples added up"`
	PageCompressCPUNs         *float64 `json:"page_compress_cpu_ns" doc:"compress_cpu_ns / pages"`
	PageDecompressCPUNs       *float64 `json:"page_decompress_cpu_ns" doc:"decompress_cpu_ns / pages"`
	PageCompressExcessCPUNs   *float64 `json:"page_compress_excess_cpu_ns" doc:"page_compress_cpu_ns less that of the floor, the copy (raw) of this run"`
	PageDecompressExcessCPUNs *float64 `json:"page_decompress_excess_cpu_ns" doc:"page_decompress_cpu_ns less that of the floor"`
	PageHeapAllocs            *float64 `json:"page_heap_alloc_count" doc:"heap_alloc_count / pages"`
}

// lengths counts pages by the length of their stored form.
type lengths [codec.PageSize + 1]int64

// total is the figures of a codec with the lengths they go back to.
type total struct {
	figures
	lengths lengths
}

// add takes in one pass.
func (t *total) add(f figures, l *lengths) {
	first := t.Pages == 0
	t.Codec = f.Codec
	t.Pages += f.Pages
	t.SamePages += f.SamePages
	t.OrigBytes += f.OrigBytes
	t.ComprBytes += f.ComprBytes
	t.NonsameComprBytes += f.NonsameComprBytes
	t.RawPages += f.RawPages
	t.HugePages += f.HugePages
	t.VerifiedPages += f.VerifiedPages
	t.CompressCPUNs += f.CompressCPUNs
	t.DecompressCPUNs += f.DecompressCPUNs
	t.CompressWallNs += f.CompressWallNs
	t.DecompressWallNs += f.DecompressWallNs
	t.HeapAllocs += f.HeapAllocs
	t.SentinelBeforeNs = max(t.SentinelBeforeNs, f.SentinelBeforeNs)
	t.SentinelAfterNs = max(t.SentinelAfterNs, f.SentinelAfterNs)
	switch {
	case first:
		t.StealNs = f.StealNs
	case t.StealNs == nil || f.StealNs == nil:
		t.StealNs = nil
	default:
		t.StealNs = record.Known(*t.StealNs + *f.StealNs)
	}
	for n, count := range l {
		t.lengths[n] += count
	}
	t.ratios = t.figures.ratiosOf(&t.lengths)
}

// ratiosOf computes the ratios of the sums in f and of the pages counted in l.
func (f *figures) ratiosOf(l *lengths) ratios {
	return ratios{
		CodecRatio:        ratio(f.OrigBytes, f.ComprBytes),
		NonsameCodecRatio: ratio(f.OrigBytes-f.SamePages*codec.PageSize, f.NonsameComprBytes),
		P10Ratio:          l.percentile(10),
		P50Ratio:          l.percentile(50),
		P90Ratio:          l.percentile(90),
		QuantileMethod:    hist.MethodExact,
	}
}

// percentile returns the page ratio of nearest rank ceil(percent * pages / 100), counted from the page that compresses
// worst; nil without pages.
func (l *lengths) percentile(percent int64) *float64 {
	var pages int64
	for _, count := range l {
		pages += count
	}
	rank := (percent*pages + 99) / 100
	for length := len(l) - 1; length > 0 && rank > 0; length-- {
		if rank -= l[length]; rank <= 0 {
			return ratio(codec.PageSize, int64(length))
		}
	}
	return nil
}

// result returns the record of the codec, with what it costs over the floor of the same run.
func (t *total) result(passes int, floor *total) result {
	r := result{
		figures:             t.figures,
		Passes:              passes,
		PageCompressCPUNs:   ratio(t.CompressCPUNs, t.Pages),
		PageDecompressCPUNs: ratio(t.DecompressCPUNs, t.Pages),
		PageHeapAllocs:      ratio(t.HeapAllocs, t.Pages),
	}
	r.PageCompressExcessCPUNs = excess(r.PageCompressCPUNs, ratio(floor.CompressCPUNs, floor.Pages))
	r.PageDecompressExcessCPUNs = excess(r.PageDecompressCPUNs, ratio(floor.DecompressCPUNs, floor.Pages))
	return r
}

// ratio is a / b, nil over nothing.
func ratio(a, b int64) *float64 { return record.Finite(float64(a) / float64(b)) }

func excess(v, floor *float64) *float64 {
	if v == nil || floor == nil {
		return nil
	}
	return record.Known(*v - *floor)
}
