// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"math"
)

// Meminfo holds the fields of /proc/meminfo that memline decides by, in bytes.
//
//	MemTotal:       24732568 kB
//	MemAvailable:   24448012 kB
//	SwapFree:              0 kB
type Meminfo struct {
	TotalBytes     int64
	AvailableBytes int64
	SwapTotalBytes int64
	SwapFreeBytes  int64
}

// Meminfo reads /proc/meminfo once.
func (fs FS) Meminfo() (Meminfo, error) {
	f, err := fs.OpenFile("proc/meminfo")
	if err != nil {
		return Meminfo{}, err
	}
	defer f.Close()
	return f.Meminfo()
}

// Meminfo parses a file opened on proc/meminfo as it is now, without allocation.
func (f *File) Meminfo() (Meminfo, error) {
	text, err := f.Read()
	if err != nil {
		return Meminfo{}, err
	}
	var m Meminfo
	available := false
	eachCounter(text, func(key []byte, value uint64) {
		bytes := int64(value) << 10
		switch string(key) { // the compiler does not allocate for this comparison
		case "MemTotal:":
			m.TotalBytes = bytes
		case "MemAvailable:":
			m.AvailableBytes, available = bytes, true
		case "SwapTotal:":
			m.SwapTotalBytes = bytes
		case "SwapFree:":
			m.SwapFreeBytes = bytes
		}
	})
	if !available {
		return Meminfo{}, errors.New("no MemAvailable in meminfo: memline needs Linux 3.14 or later")
	}
	return m, nil
}

// Vmstat is /proc/vmstat: the kernel's event counters by the kernel's names.
type Vmstat map[string]uint64

// Vmstat reads /proc/vmstat.
func (fs FS) Vmstat() (Vmstat, error) {
	f, err := fs.OpenFile("proc/vmstat")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := f.Read()
	if err != nil {
		return nil, err
	}
	v := Vmstat{}
	eachCounter(text, func(key []byte, value uint64) { v[string(key)] = value })
	return v, nil
}

// Since returns how much the counter grew from before, nil where this kernel does not have it.
func (v Vmstat) Since(before Vmstat, key string) *int64 {
	now, ok := v[key]
	then, had := before[key]
	if !ok || !had {
		return nil
	}
	delta := int64(now - then)
	return &delta
}

// CPUTime is the first line of /proc/stat in clock ticks (10 ms): all CPUs together.
type CPUTime struct{ BusyTicks, IdleTicks, StealTicks uint64 }

// CPUTime reads the machine's CPU time.
func (fs FS) CPUTime() (CPUTime, error) {
	f, err := fs.OpenFile("proc/stat")
	if err != nil {
		return CPUTime{}, err
	}
	defer f.Close()
	text, err := f.Read()
	if err != nil {
		return CPUTime{}, err
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	if !bytes.HasPrefix(line, []byte("cpu ")) {
		return CPUTime{}, fmt.Errorf("proc/stat starts with %q, not with the line of all CPUs", line)
	}
	var c CPUTime
	column := 0 // cpu user nice system idle iowait irq softirq steal guest guest_nice
	for field := range bytes.FieldsSeq(line) {
		value, _ := number(field)
		switch column {
		case 1, 2, 3, 6, 7:
			c.BusyTicks += value
		case 4, 5:
			c.IdleTicks += value
		case 8:
			c.StealTicks = value
		}
		column++
	}
	return c, nil
}

// eachCounter calls yield for each "key value ..." line; lines whose second word is not a number are skipped.
func eachCounter(text []byte, yield func(key []byte, value uint64)) {
	for len(text) > 0 {
		line := text
		if i := bytes.IndexByte(text, '\n'); i >= 0 {
			line, text = text[:i], text[i+1:]
		} else {
			text = nil
		}
		i := bytes.IndexByte(line, ' ')
		if i <= 0 {
			continue
		}
		if value, ok := number(bytes.TrimLeft(line[i:], " ")); ok {
			yield(line[:i], value)
		}
	}
}

// number parses the decimal digits that b starts with; ok is false without any and beyond 64 bits.
func number(b []byte) (value uint64, ok bool) {
	for _, c := range b {
		if c < '0' || c > '9' {
			break
		}
		digit := uint64(c - '0')
		if value > (math.MaxUint64-digit)/10 {
			return 0, false
		}
		value, ok = value*10+digit, true
	}
	return value, ok
}
