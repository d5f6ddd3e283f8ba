// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
)

// floorName is the label of the same-filled pages, which no compressor works on; copyCodec is arenabench's own floor.
const (
	floorName = "floor"
	copyCodec = "raw"
)

// round is one pass over all candidates; the warm-up has number 0.
type round struct {
	run    string
	number int
}

func compareRounds(a, b round) int {
	return cmp.Or(strings.Compare(a.run, b.run), cmp.Compare(a.number, b.number))
}

// phase is what mempressure measured of one pass over the pages. What it could not measure is NaN.
type phase struct {
	pages, cpuNs, p50Ns, p99Ns float64
	flag                       string // why the numbers are doubtful, empty when they are not
	sentinels                  []float64
}

// device is what zramctl saw while the pages lived in the device.
type device struct {
	orig, compr, pool float64
}

// codecPass is what arenabench measured of one user-space codec.
type codecPass struct {
	pages, orig, compr, outNs, inNs float64
	sentinels                       []float64
}

// cell is all that one candidate did in one round.
type cell struct {
	out, in *phase
	device  *device
	codec   *codecPass
}

// entry is all that is known of one candidate with one pattern.
type entry struct {
	name   string
	rounds map[round]*cell
	faults []string // what rules it out, the warm-up's among them
}

// field is one pattern's candidates and their floor, in order of appearance.
type field struct {
	pattern string
	entries []*entry
	floor   *entry
}

// benchmark is the records of a run, put in order.
type benchmark struct {
	zram, userSpace []*field
	defaultName     string // the kernel's own choice, empty when no record tells
	hosts, kernels  []string
	pageSize        float64
	runs            []string
	warn            func(reason, format string, args ...any)
	seen            map[string]map[float64]bool // seq numbers of each process
	warned          map[string]bool
}

func newBenchmark(warn func(reason, format string, args ...any)) *benchmark {
	return &benchmark{pageSize: 4096, warn: warn, seen: map[string]map[float64]bool{}, warned: map[string]bool{}}
}

// row is a record by its values.
type row struct {
	text, labels map[string]string
	number       map[string]float64
	truth        map[string]bool
}

func readRow(line string) row {
	r := row{text: map[string]string{}, labels: map[string]string{}, number: map[string]float64{}, truth: map[string]bool{}}
	gjson.Parse(line).ForEach(func(key, value gjson.Result) bool {
		switch value.Type {
		case gjson.String:
			r.text[key.Str] = value.Str
		case gjson.Number:
			if !math.IsInf(value.Num, 0) {
				r.number[key.Str] = value.Num
			}
		case gjson.True, gjson.False:
			r.truth[key.Str] = value.Bool()
		case gjson.JSON:
			if key.Str == "labels" {
				value.ForEach(func(key, value gjson.Result) bool {
					r.labels[key.Str] = value.String()
					return true
				})
			}
		}
		return true
	})
	return r
}

// measured returns a number, NaN where the record has none.
func (r row) measured(key string) float64 {
	if v, ok := r.number[key]; ok {
		return v
	}
	return math.NaN()
}

// add takes in a record and reports whether it belongs to a ranking. A record that was read before, from a file named
// twice, does not.
func (b *benchmark) add(line string) bool {
	r := readRow(line)
	if seq, ok := r.number["seq"]; ok && r.text["proc"] != "" {
		seen := b.seen[r.text["proc"]]
		if seen[seq] {
			b.warnOnce("repeated_record", "some records stand twice in the input and count once")
			return false
		}
		if seen == nil {
			seen = map[float64]bool{}
			b.seen[r.text["proc"]] = seen
		}
		seen[seq] = true
	}
	switch r.text["tool"] + " " + r.text["event"] {
	case "mempressure start", "zramctl start", "arenabench start":
		b.addHost(r)
		return true
	case "zramctl algorithm":
		if r.truth["default"] {
			b.defaultName = r.text["algorithm"]
		}
		return true
	case "mempressure result":
		return b.addPhase(r)
	case "zramctl device":
		return b.addDevice(r)
	case "arenabench result":
		return b.addCodec(r)
	case "mempressure error", "zramctl error":
		e, _, _ := b.place(r)
		if e == nil {
			return false
		}
		if !ownFault(r.text["reason"]) {
			return true // the host's or the user's doing; the round is incomplete
		}
		e.fault("%s failed: %.200s", r.text["tool"], r.text["detail"])
		return true
	case "arenabench error":
		b.warnOnce("codec_failed", "arenabench failed: %.200s", r.text["detail"])
		return true
	}
	return false
}

// ownFault reports whether a tool's error can be the compressor's doing, unlike a brake, a busy host, a missing privilege
// or somebody's signal.
func ownFault(reason string) bool {
	return !slices.Contains([]string{"guard", "memory", "reserve", "swap", "no_swap", "swapoff_memory", "lock_held", "state_dir",
		"cap_sys_admin", "cgroup", "signal", "timeout", "reader_gone"}, reason)
}

func (e *entry) fault(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(e.faults, text) {
		e.faults = append(e.faults, text)
	}
}

func (b *benchmark) warnOnce(reason, format string, args ...any) {
	if text := reason + fmt.Sprintf(format, args...); !b.warned[text] {
		b.warned[text] = true
		b.warn(reason, format, args...)
	}
}

func (b *benchmark) addHost(r row) {
	if host := r.text["host"]; host != "" && !slices.Contains(b.hosts, host) {
		b.hosts = append(b.hosts, host)
	}
	if kernel := r.text["kernel"]; kernel != "" && !slices.Contains(b.kernels, kernel) {
		b.kernels = append(b.kernels, kernel)
	}
	if size := r.number["page_size_bytes"]; size > 0 {
		b.pageSize = size
	}
}

// place finds the candidate that a record's labels name, and its cell of that round; no candidate where the labels name
// none, no cell for the warm-up.
func (b *benchmark) place(r row) (*entry, *cell, round) {
	name := r.labels["algorithm"]
	if name == "" {
		return nil, nil, round{}
	}
	return b.placeIn(&b.zram, name, r)
}

func (b *benchmark) placeIn(fields *[]*field, name string, r row) (*entry, *cell, round) {
	number, err := strconv.Atoi(r.labels["round"])
	if err != nil || number < 0 {
		return nil, nil, round{}
	}
	e := fieldOf(fields, r.labels["pattern"]).entryOf(name)
	at := round{r.text["run_id"], number}
	if number == 0 {
		return e, nil, at
	}
	if !slices.Contains(b.runs, at.run) {
		b.runs = append(b.runs, at.run)
	}
	if e.rounds[at] == nil {
		e.rounds[at] = &cell{}
	}
	return e, e.rounds[at], at
}

func fieldOf(fields *[]*field, pattern string) *field {
	for _, f := range *fields {
		if f.pattern == pattern {
			return f
		}
	}
	f := &field{pattern: pattern}
	*fields = append(*fields, f)
	return f
}

func (f *field) entryOf(name string) *entry {
	if name == floorName {
		if f.floor == nil {
			f.floor = &entry{name: name, rounds: map[round]*cell{}}
		}
		return f.floor
	}
	for _, e := range f.entries {
		if e.name == name {
			return e
		}
	}
	e := &entry{name: name, rounds: map[round]*cell{}}
	f.entries = append(f.entries, e)
	return e
}

// addPhase takes in a phase; of one measured twice in a round the last counts.
func (b *benchmark) addPhase(r row) bool {
	e, c, at := b.place(r)
	if e == nil {
		return false
	}
	p := &phase{
		pages: r.measured("pages"), cpuNs: r.measured("thread_cpu_ns"), p50Ns: r.measured("p50_ns"), p99Ns: r.measured("p99_ns"),
		sentinels: r.sentinels(), flag: r.doubt(),
	}
	switch {
	case c == nil:
	case r.text["phase"] == "pageout":
		b.repeated(c.out != nil, e, at, "page-out")
		c.out = p
	case r.text["phase"] == "readback":
		b.repeated(c.in != nil, e, at, "read-back")
		c.in = p
	}
	return true
}

func (b *benchmark) repeated(is bool, e *entry, at round, what string) {
	if is {
		b.warn("repeated_phase", "%s has two %s results in round %d; the last counts", e.name, what, at.number)
	}
}

// sentinels are the times of the fixed piece of work around a measurement.
func (r row) sentinels() (all []float64) {
	for _, key := range []string{"sentinel_before_ns", "sentinel_after_ns"} {
		if v := r.measured(key); v > 0 {
			all = append(all, v)
		}
	}
	return all
}

// strayShare is the share of pages that may stay in memory, or that the kernel's swap counters may be off by.
const strayShare = 0.01

// doubt says what speaks against a phase, empty when nothing does: pages that did not go out, and foreign swapping by the
// tool's own judgement or, where it gives none, by the kernel's counters.
func (r row) doubt() string {
	pages, swapped := r.measured("pages"), r.measured("pswpout")+r.number["swpout_zero"]
	contaminated, judged := r.truth["contaminated"]
	switch {
	case contaminated:
		return "contaminated"
	case r.text["phase"] == "readback" && r.measured("major_faults") < (1-strayShare)*pages:
		return "pages were not in swap"
	case r.text["phase"] != "pageout":
		return ""
	case r.measured("resident_pages") > strayShare*pages:
		return "pages stayed in memory"
	case !judged && math.Abs(swapped-pages) > strayShare*pages:
		return "pswpout mismatch"
	}
	return ""
}

// addDevice takes in a device; of several looks at one in a round the one that held most counts, since it is then that
// the pages lived in it.
func (b *benchmark) addDevice(r row) bool {
	e, c, _ := b.place(r)
	if e == nil {
		return false
	}
	if failed := r.number["failed_writes"] + r.number["failed_reads"]; failed > 0 && e.name != floorName {
		e.fault("the device failed %.0f reads or writes", failed)
	}
	if ran := r.text["algorithm"]; ran != "" && e.name != floorName && !namesAlgorithm(e.name, ran) {
		e.fault("the device ran %.40s instead", ran)
	}
	d := &device{r.measured("orig_data_size"), r.measured("compr_data_size"), r.measured("mem_used_total")}
	if c != nil && d.orig > 0 && (c.device == nil || d.orig >= c.device.orig) {
		c.device = d
	}
	return true
}

// namesAlgorithm reports whether a label names an algorithm, alone or with parameters behind it: lz4, lz4:level=3.
func namesAlgorithm(label, algorithm string) bool {
	rest, ok := strings.CutPrefix(label, algorithm)
	return ok && (rest == "" || strings.ContainsAny(rest[:1], ":,+@"))
}

func (b *benchmark) addCodec(r row) bool {
	if r.text["codec"] == "" {
		return false
	}
	name := r.text["codec"]
	if name == copyCodec {
		name = floorName
	}
	e, c, _ := b.placeIn(&b.userSpace, name, r)
	if e == nil {
		return false
	}
	p := &codecPass{r.measured("pages"), r.measured("orig_bytes"), r.measured("compr_bytes"),
		r.measured("compress_cpu_ns"), r.measured("decompress_cpu_ns"), r.sentinels()}
	if verified := r.measured("verified_pages"); verified < p.pages {
		e.fault("only %.0f of %.0f pages came back as they were", verified, p.pages)
	}
	if c != nil {
		c.codec = p
	}
	return true
}

// sortedRounds returns the rounds that a candidate took part in.
func (e *entry) sortedRounds() []round {
	return slices.SortedFunc(maps.Keys(e.rounds), compareRounds)
}
