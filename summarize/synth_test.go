// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
)

// contender is the truth about one candidate of a made-up run.
type contender struct {
	name              string
	ratio             float64 // original / pool
	outUs, inUs       float64 // CPU a page
	p50Us, p99Us      float64
	noise             float64 // of CPU times, relative standard deviation
	lacksReadbackIn   []int   // rounds
	error             string  // reason of an error record in round 2
	failedWrites      int
	warmupErrorDetail string
}

// synthetic is a made-up run of scripts/bench-compressors.sh.
type synthetic struct {
	run, pattern string
	host, kernel string
	rounds       int
	defaultName  string
	contenders   []contender
	noFloorIn    []int
	// contaminate and slow mark candidates' rounds, given as name:round.
	contaminate, slow []string
	// change is a factor on the CPU times of a candidate's round, given as name:round.
	change map[string]float64
	seed   uint64
	// firstProc keeps the processes of two runs apart.
	firstProc int
	steady    bool // no drift from round to round, and no noise of the pool's size
}

// usual is a run as it often is: lz4 is 1.4 times as good as lzo-rle, lzo the same as lzo-rle.
func usual() synthetic {
	return synthetic{
		run: "r1", pattern: "mixed", host: "h1", kernel: "6.18.0", rounds: 7, defaultName: "lzo-rle",
		contenders: []contender{
			{name: "lzo-rle", ratio: 2.30, outUs: 19, inUs: 10.7, p50Us: 10.5, p99Us: 23, noise: 0.005},
			{name: "lzo", ratio: 2.30, outUs: 18.9, inUs: 10.7, p50Us: 10.2, p99Us: 22, noise: 0.005},
			{name: "lz4", ratio: 2.35, outUs: 16, inUs: 6.2, p50Us: 7.9, p99Us: 15, noise: 0.005},
		},
	}
}

const synthPages = 32768

// records writes the run's stream, a process a line as far as the judge is concerned.
func (s synthetic) records() []byte {
	var b bytes.Buffer
	rng := rand.New(rand.NewPCG(s.seed, 7))
	proc := s.firstProc
	line := func(tool, event, labels, format string, args ...any) {
		proc++
		fmt.Fprintf(&b, `{"ts":"2026-01-01T12:00:00.000000Z","tool":%q,"event":%q,"run_id":%q,"proc":"%08x","seq":1,"mono_ns":1,`,
			tool, event, s.run, proc)
		fmt.Fprintf(&b, format, args...)
		if labels != "" {
			b.WriteString(`,"labels":{` + labels + `}`)
		}
		b.WriteString("}\n")
	}
	line("zramctl", "start", "", `"v":1,"host":%q,"kernel":%q,"page_size_bytes":4096`, s.host, s.kernel)
	for _, c := range s.contenders {
		line("zramctl", "algorithm", "", `"algorithm":%q,"listed":true,"works":true,"default":%t,"detail":null`, c.name, c.name == s.defaultName)
	}
	for round := 0; round <= s.rounds; round++ {
		drift := 1.0 // common to all candidates of a round
		if !s.steady {
			drift = math.Exp(0.1 * rng.NormFloat64())
		}
		s.floor(line, round, drift)
		for _, c := range s.contenders {
			s.contender(line, c, round, drift, rng)
		}
	}
	return b.Bytes()
}

type lineWriter func(tool, event, labels, format string, args ...any)

func (s synthetic) labels(name string, round int) string {
	l := fmt.Sprintf(`"algorithm":%q,"round":"%d"`, name, round)
	if s.pattern != "" {
		l += fmt.Sprintf(`,"pattern":%q`, s.pattern)
	}
	return l
}

func (s synthetic) floor(line lineWriter, round int, drift float64) {
	for _, r := range s.noFloorIn {
		if r == round {
			return
		}
	}
	line("mempressure", "result", s.labels(floorName, round), `"phase":"readback","pages":%d,"thread_cpu_ns":%.0f,"p50_ns":%.0f,"p99_ns":%.0f,"contaminated":false`,
		synthPages, 4000*drift*synthPages, 3900*drift, 7100*drift)
}

func (s synthetic) contender(line lineWriter, c contender, round int, drift float64, rng *rand.Rand) {
	at := fmt.Sprintf("%s:%d", c.name, round)
	has := func(list []string) bool { return strings.Contains(" "+strings.Join(list, " ")+" ", " "+at+" ") }
	factor := drift * math.Exp(c.noise*rng.NormFloat64())
	if f, ok := s.change[at]; ok {
		factor *= f
	}
	labels := s.labels(c.name, round)
	sentinel := 1e6
	if has(s.slow) {
		sentinel = 2e6
	}
	line("mempressure", "result", labels, `"phase":"pageout","pages":%d,"thread_cpu_ns":%.0f,"pswpout":%d,"contaminated":%t,"sentinel_before_ns":1000000,"sentinel_after_ns":%.0f`,
		synthPages, c.outUs*1000*factor*synthPages, synthPages, has(s.contaminate), sentinel)
	orig, pool := float64(synthPages+1)*4096, float64(synthPages+1)*4096/c.ratio
	if !s.steady {
		pool *= 1 + 0.0005*rng.NormFloat64()
	}
	line("zramctl", "device", labels, `"device":"zram1","algorithm":%q,"orig_data_size":%.0f,"compr_data_size":%.0f,"mem_used_total":%.0f,"failed_reads":0,"failed_writes":%d`,
		c.name, orig, orig/c.ratio*0.97, pool, c.failedWrites)
	for _, r := range c.lacksReadbackIn {
		if r == round {
			return
		}
	}
	if round == 2 && c.error != "" || round == 0 && c.warmupErrorDetail != "" {
		reason, detail := c.error, "page 17, offset 99: wrong byte"
		if round == 0 {
			reason, detail = "verify", c.warmupErrorDetail
		}
		line("mempressure", "error", labels, `"reason":%q,"detail":%q`, reason, detail)
	}
	line("mempressure", "result", labels, `"phase":"readback","pages":%d,"thread_cpu_ns":%.0f,"p50_ns":%.0f,"p99_ns":%.0f,"contaminated":false,"sentinel_before_ns":1000000,"sentinel_after_ns":1000000`,
		synthPages, c.inUs*1000*factor*synthPages, c.p50Us*1000*factor, c.p99Us*1000*factor)
}

// codecs writes a run of user-space codecs, each result from its own process as far as the judge is concerned.
func (s synthetic) codecs() []byte {
	var b bytes.Buffer
	rng := rand.New(rand.NewPCG(s.seed, 8))
	proc := 0
	for round := 0; round <= s.rounds; round++ {
		for _, c := range append([]contender{{name: copyCodec, ratio: 1, outUs: 0.2, inUs: 0.2}}, s.contenders...) {
			proc++
			factor := math.Exp(c.noise * rng.NormFloat64())
			fmt.Fprintf(&b, `{"ts":"2026-01-01T12:00:00.000000Z","tool":"arenabench","event":"result","run_id":%q,"proc":"c%07x","seq":1,"mono_ns":1,`+
				`"codec":%q,"pages":4096,"orig_bytes":%d,"compr_bytes":%.0f,"verified_pages":%d,"compress_cpu_ns":%.0f,"decompress_cpu_ns":%.0f,`+
				`"sentinel_before_ns":1000000,"sentinel_after_ns":1000000,"labels":{"pattern":"mixed","round":"%d"}}`+"\n",
				s.run, proc, c.name, 4096*4096, 4096*4096/c.ratio, 4096-c.failedWrites, c.outUs*1000*factor*4096, c.inUs*1000*factor*4096, round)
		}
	}
	return b.Bytes()
}

// inUserSpace is a run of codecs in which s2 is the best.
func inUserSpace() synthetic {
	s := usual()
	s.contenders = []contender{
		{name: "lz4", ratio: 2.0, outUs: 6, inUs: 2, noise: 0.01},
		{name: "s2", ratio: 2.1, outUs: 4.5, inUs: 1.5, noise: 0.01},
		{name: "zstd-1", ratio: 3.0, outUs: 30, inUs: 9, noise: 0.01},
	}
	return s
}
