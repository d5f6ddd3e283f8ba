// SPDX-License-Identifier: Apache-2.0

package zram

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"memline/internal/kernel"
)

// fixture is a device below testdata.
func fixture(t testing.TB, root string, number int) Device {
	t.Helper()
	c, err := Open(kernel.At("testdata/" + root))
	if err != nil {
		t.Fatal(err)
	}
	return c.Device(number)
}

// asMap is the stats as the record has them, without what is null.
func asMap(t testing.TB, s Stats) map[string]any {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	for key, value := range m {
		if value == nil {
			delete(m, key)
		}
	}
	return m
}

// The kernel's columns in order, by the names of Documentation/admin-guide/blockdev/zram.rst and Documentation/block/stat.rst.
var (
	mmStat = strings.Fields("orig_data_size compr_data_size mem_used_total mem_limit mem_used_max same_pages pages_compacted huge_pages huge_pages_since")
	ioStat = strings.Fields("failed_reads failed_writes invalid_io notify_free")
	stat   = strings.Fields("read_ios read_merges read_sectors read_ticks write_ios write_merges write_sectors write_ticks in_flight io_ticks time_in_queue discard_ios discard_merges discard_sectors discard_ticks flush_ios flush_ticks")
)

// columns puts names to the numbers of one line.
func columns(into map[string]any, names []string, values ...float64) {
	for i, v := range values {
		into[names[i]] = v
	}
}

func TestStats(t *testing.T) {
	counted := func(from, n int) (values []float64) {
		for i := range n {
			values = append(values, float64(from+i))
		}
		return values
	}
	old := map[string]any{"device": "zram0", "algorithm": "lz4", "disksize_bytes": 1073741824.0, "swap_on": true, "swap_priority": -2.0, "swap_used_bytes": 400.0 * 1024,
		"codec_ratio": 5.0, "pool_ratio": 409600.0 / 122880, "nonsame_codec_ratio": (409600.0 - 40960) / 81920, "nonsame_pool_ratio": (409600.0 - 40960) / 122880}
	columns(old, mmStat, 409600, 81920, 122880, 0, 163840, 10, 3)
	columns(old, ioStat, 1, 2, 3, 4)
	columns(old, stat, counted(11, 11)...)

	middle := map[string]any{}
	for k, v := range old {
		middle[k] = v
	}
	delete(middle, "swap_priority")
	delete(middle, "swap_used_bytes")
	middle["swap_on"] = false
	middle["huge_pages"] = 5.0
	columns(middle, stat, counted(11, 15)...)

	later := map[string]any{}
	for k, v := range middle {
		later[k] = v
	}
	later["device"], later["algorithm"], later["diskseq"], later["huge_pages_since"] = "zram12", "zstd", 77.0, 6.0
	later["swap_on"], later["swap_priority"], later["swap_used_bytes"] = true, 5.0, 800.0*1024
	columns(later, stat, counted(11, 17)...)

	here := map[string]any{"device": "zram1", "algorithm": "lz4", "disksize_bytes": 67108864.0, "diskseq": 1053.0, "swap_on": true, "swap_priority": 100.0, "swap_used_bytes": 8192.0 * 1024,
		"codec_ratio": 8392704.0 / 2134530, "pool_ratio": 8392704.0 / 2174976, "nonsame_codec_ratio": (8392704.0 - 512*4096) / 2134530, "nonsame_pool_ratio": (8392704.0 - 512*4096) / 2174976}
	columns(here, mmStat, 8392704, 2134530, 2174976, 33554432, 2174976, 512, 0, 512, 512)
	columns(here, ioStat, 0, 0, 0, 0)
	columns(here, stat, 1, 0, 8, 0, 2049, 0, 16392, 4, 0, 4, 4, 0, 0, 0, 0, 0, 0)

	for _, test := range []struct {
		root   string
		number int
		want   map[string]any
		unread []string
	}{
		{"linux-4.14", 0, old, []string{"mm_stat of zram0: 7 columns, this version knows 9", "stat of zram0: 11 columns, this version knows 17"}},
		{"linux-4.19", 0, middle, []string{"mm_stat of zram0: 8 columns, this version knows 9", "stat of zram0: 15 columns, this version knows 17"}},
		{"linux-6.18", 1, here, nil},
		{"linux-9.9-made-up", 12, later, nil},
	} {
		s, unread := fixture(t, test.root, test.number).Stats()
		if diff := cmp.Diff(test.want, asMap(t, s)); diff != "" {
			t.Errorf("Stats of %s: -want +got\n%s", test.root, diff)
		}
		var got []string
		for _, err := range unread {
			got = append(got, err.Error())
		}
		if diff := cmp.Diff(test.unread, got); diff != "" {
			t.Errorf("unread of %s: -want +got\n%s", test.root, diff)
		}
	}
}

// TestStatsBroken says of each file that it cannot use that it cannot, and invents nothing.
func TestStatsBroken(t *testing.T) {
	s, unread := fixture(t, "broken", 3).Stats()
	if want := map[string]any{"device": "zram3", "algorithm": "", "disksize_bytes": 0.0, "swap_on": false, "orig_data_size": 409600.0}; !cmp.Equal(want, asMap(t, s)) {
		t.Errorf("Stats: -want +got\n%s", cmp.Diff(want, asMap(t, s)))
	}
	for _, file := range []string{"disksize of", "diskseq of", "mm_stat of", "io_stat of", "stat of"} {
		if !slices.ContainsFunc(unread, func(err error) bool { return strings.Contains(err.Error(), file) }) {
			t.Errorf("unread = %v, which does not name %s", unread, file)
		}
	}
	if s, unread := fixture(t, "broken", 99).Stats(); len(unread) == 0 || s.OrigDataSize != nil {
		t.Errorf("Stats of a missing device = %+v, %v", s, unread)
	}
}

func TestRatios(t *testing.T) {
	n := func(v int64) *int64 { return &v }
	for _, test := range []struct {
		name                     string
		orig, compr, total, same int64
		codec, pool              bool
	}{
		{"empty", 0, 0, 0, 0, false, false},
		{"nothing but same-filled pages", 40960, 0, 0, 10, false, false},
		{"all stored is same-filled, the pool not yet empty", 40960, 0, 8192, 10, false, true},
		{"usual", 409600, 1000, 2000, 3, true, true},
	} {
		s := Stats{OrigDataSize: n(test.orig), ComprDataSize: n(test.compr), MemUsedTotal: n(test.total), SamePages: n(test.same)}
		s.ratios()
		if (s.CodecRatio != nil) != test.codec || (s.PoolRatio != nil) != test.pool {
			t.Errorf("%s: codec ratio %v, pool ratio %v, want known = %t, %t", test.name, s.CodecRatio, s.PoolRatio, test.codec, test.pool)
		}
	}
}

func TestAlgorithms(t *testing.T) {
	offered, selected, err := fixture(t, "linux-4.14", 0).Algorithms()
	if err != nil || selected != "lz4" || !slices.Equal(offered, []string{"lzo", "lz4", "lz4hc"}) {
		t.Errorf("Algorithms = %q, %q, %v", offered, selected, err)
	}
	if _, _, err := fixture(t, "linux-4.14", 5).Algorithms(); err == nil {
		t.Error("Algorithms of a missing device: no error")
	}
}

func FuzzColumns(f *testing.F) {
	for _, file := range []string{"mm_stat", "io_stat", "stat"} {
		b, err := os.ReadFile("testdata/linux-6.18/sys/block/zram1/" + file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	f.Add("1 -2 99999999999999999999 x")
	f.Fuzz(func(t *testing.T, text string) {
		var a, b, c *int64
		err := parseColumns(text, []**int64{&a, &b, &c})
		fields := strings.Fields(text)
		for i, p := range []*int64{a, b, c} {
			if p == nil && err == nil || p != nil && i >= len(fields) {
				t.Errorf("parseColumns(%q): column %d = %v beside the error %v", text, i+1, p, err)
			}
		}
	})
}
