// SPDX-License-Identifier: Apache-2.0

package zram

import (
	"fmt"
	"strconv"
	"strings"

	"memline/internal/kernel"
)

// Stats is everything the kernel says about one device, by the kernel's names (Documentation/admin-guide/blockdev/zram.rst
// and Documentation/block/stat.rst). Null is what this kernel does not tell.
type Stats struct {
	Device        string  `json:"device" doc:"name in /sys/block"`
	Algorithm     string  `json:"algorithm" doc:"the compressor in use" kernel:"comp_algorithm"`
	DisksizeBytes int64   `json:"disksize_bytes" doc:"size of the device; 0 before it is set up" kernel:"disksize"`
	DiskSeq       *uint64 `json:"diskseq" doc:"the kernel's sequence number of this disk, unique within a boot" kernel:"diskseq"`

	SwapOn        bool   `json:"swap_on" doc:"the device is a swap area now"`
	SwapPriority  *int   `json:"swap_priority" doc:"its priority; null while it is not swapped on"`
	SwapUsedBytes *int64 `json:"swap_used_bytes" doc:"swap slots in use; zero pages and slots not yet freed take no zram"`

	OrigDataSize  *int64 `json:"orig_data_size" doc:"uncompressed bytes stored, the swap header's page among them" kernel:"mm_stat"`
	ComprDataSize *int64 `json:"compr_data_size" doc:"compressed bytes stored" kernel:"mm_stat"`
	MemUsedTotal  *int64 `json:"mem_used_total" doc:"memory that the pool takes, fragmentation and metadata included" kernel:"mm_stat"`
	MemLimit      *int64 `json:"mem_limit" doc:"limit of that memory; 0 is none" kernel:"mm_stat"`
	MemUsedMax    *int64 `json:"mem_used_max" doc:"most memory the pool ever took" kernel:"mm_stat"`
	SamePages     *int64 `json:"same_pages" doc:"pages of one repeated word, which take no pool memory" kernel:"mm_stat"`
	PagesCompact  *int64 `json:"pages_compacted" doc:"pages freed by compaction" kernel:"mm_stat"`
	HugePages     *int64 `json:"huge_pages" doc:"pages stored uncompressed now" kernel:"mm_stat"`
	HugeSince     *int64 `json:"huge_pages_since" doc:"pages stored uncompressed since the device was set up" kernel:"mm_stat"`

	FailedReads  *int64 `json:"failed_reads" doc:"reads that failed" kernel:"io_stat"`
	FailedWrites *int64 `json:"failed_writes" doc:"writes that failed" kernel:"io_stat"`
	InvalidIO    *int64 `json:"invalid_io" doc:"requests not page-aligned; always 0 on current kernels" kernel:"io_stat"`
	NotifyFree   *int64 `json:"notify_free" doc:"slots freed by swap" kernel:"io_stat"`

	ReadIOs           *int64   `json:"read_ios" doc:"read requests" kernel:"stat"`
	ReadMerges        *int64   `json:"read_merges" doc:"read requests merged" kernel:"stat"`
	ReadSectors       *int64   `json:"read_sectors" doc:"512-byte sectors read" kernel:"stat"`
	ReadTicks         *int64   `json:"read_ticks" doc:"milliseconds of reads" kernel:"stat"`
	WriteIOs          *int64   `json:"write_ios" doc:"write requests" kernel:"stat"`
	WriteMerges       *int64   `json:"write_merges" doc:"write requests merged" kernel:"stat"`
	WriteSectors      *int64   `json:"write_sectors" doc:"512-byte sectors written" kernel:"stat"`
	WriteTicks        *int64   `json:"write_ticks" doc:"milliseconds of writes" kernel:"stat"`
	InFlight          *int64   `json:"in_flight" doc:"requests under way" kernel:"stat"`
	IOTicks           *int64   `json:"io_ticks" doc:"milliseconds with requests under way" kernel:"stat"`
	TimeInQueue       *int64   `json:"time_in_queue" doc:"milliseconds that requests waited, summed" kernel:"stat"`
	DiscardIOs        *int64   `json:"discard_ios" doc:"discard requests" kernel:"stat"`
	DiscardMerges     *int64   `json:"discard_merges" doc:"discard requests merged" kernel:"stat"`
	DiscardSectors    *int64   `json:"discard_sectors" doc:"512-byte sectors discarded" kernel:"stat"`
	DiscardTicks      *int64   `json:"discard_ticks" doc:"milliseconds of discards" kernel:"stat"`
	FlushIOs          *int64   `json:"flush_ios" doc:"flush requests" kernel:"stat"`
	FlushTicks        *int64   `json:"flush_ticks" doc:"milliseconds of flushes" kernel:"stat"`
	CodecRatio        *float64 `json:"codec_ratio" doc:"orig_data_size / compr_data_size; null when nothing is stored"`
	PoolRatio         *float64 `json:"pool_ratio" doc:"orig_data_size / mem_used_total: what the memory really costs"`
	NonsameCodecRatio *float64 `json:"nonsame_codec_ratio" doc:"codec_ratio without the same-filled pages"`
	NonsamePoolRatio  *float64 `json:"nonsame_pool_ratio" doc:"pool_ratio without the same-filled pages"`
}

// Stats reads the device's state. Unread names the files that could not be read or parsed, with the reason.
func (d Device) Stats() (s Stats, unread []error) {
	s.Device = d.Name()
	if text, err := d.text("comp_algorithm"); err == nil {
		s.Algorithm = kernel.Selected(text)
	} else {
		unread = append(unread, err)
	}
	text, err := d.text("disksize")
	if err == nil {
		s.DisksizeBytes, err = strconv.ParseInt(text, 10, 64)
	}
	if err != nil {
		unread = append(unread, fmt.Errorf("disksize of %s: %w", d.Name(), err))
	}
	if seq, err := d.sequence(); err != nil {
		unread = append(unread, err)
	} else if seq != 0 {
		s.DiskSeq = &seq
	}
	if swap, err := d.swapArea(); err != nil {
		unread = append(unread, err)
	} else if swap != nil {
		s.SwapOn, s.SwapPriority, s.SwapUsedBytes = true, &swap.Priority, &swap.UsedBytes
	}
	for _, file := range []struct {
		name   string
		fields []**int64
	}{
		{"mm_stat", []**int64{&s.OrigDataSize, &s.ComprDataSize, &s.MemUsedTotal, &s.MemLimit, &s.MemUsedMax,
			&s.SamePages, &s.PagesCompact, &s.HugePages, &s.HugeSince}},
		{"io_stat", []**int64{&s.FailedReads, &s.FailedWrites, &s.InvalidIO, &s.NotifyFree}},
		{"stat", []**int64{&s.ReadIOs, &s.ReadMerges, &s.ReadSectors, &s.ReadTicks, &s.WriteIOs, &s.WriteMerges,
			&s.WriteSectors, &s.WriteTicks, &s.InFlight, &s.IOTicks, &s.TimeInQueue, &s.DiscardIOs, &s.DiscardMerges,
			&s.DiscardSectors, &s.DiscardTicks, &s.FlushIOs, &s.FlushTicks}},
	} {
		text, err := d.text(file.name)
		if err == nil {
			err = parseColumns(text, file.fields)
		}
		if err != nil {
			unread = append(unread, fmt.Errorf("%s of %s: %w", file.name, d.Name(), err))
		}
	}
	s.ratios()
	return s, unread
}

// parseColumns fills the fields from a line of numbers. Older kernels have fewer columns, whose fields stay nil; newer
// ones may have more.
func parseColumns(text string, fields []**int64) error {
	columns := strings.Fields(text)
	for i, column := range columns[:min(len(columns), len(fields))] {
		v, err := strconv.ParseInt(column, 10, 64)
		if err != nil {
			return fmt.Errorf("column %d is %q, not a number", i+1, column)
		}
		*fields[i] = &v
	}
	if len(columns) < len(fields) {
		return fmt.Errorf("%d columns, this version knows %d", len(columns), len(fields))
	}
	return nil
}

func (s *Stats) ratios() {
	if s.OrigDataSize == nil || s.ComprDataSize == nil || s.MemUsedTotal == nil {
		return
	}
	orig := float64(*s.OrigDataSize)
	s.CodecRatio = ratio(orig, *s.ComprDataSize)
	s.PoolRatio = ratio(orig, *s.MemUsedTotal)
	if s.SamePages != nil {
		rest := orig - float64(*s.SamePages)*float64(kernel.PageSize())
		s.NonsameCodecRatio = ratio(rest, *s.ComprDataSize)
		s.NonsamePoolRatio = ratio(rest, *s.MemUsedTotal)
	}
}

func ratio(orig float64, stored int64) *float64 {
	if stored <= 0 || orig <= 0 {
		return nil
	}
	r := orig / float64(stored)
	return &r
}

// Algorithms lists the compressors that the device offers and the one selected, which on a fresh device is the kernel's
// default. Kernels before 6.12 may list fewer than they can load.
func (d Device) Algorithms() (offered []string, selected string, err error) {
	text, err := d.text("comp_algorithm")
	if err != nil {
		return nil, "", err
	}
	return strings.Fields(strings.NewReplacer("[", "", "]", "").Replace(text)), kernel.Selected(text), nil
}
