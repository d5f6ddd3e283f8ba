// SPDX-License-Identifier: Apache-2.0

package zram

import (
	"fmt"
	"strconv"

	"memline/internal/kernel"
)

// Plan is a device to make.
type Plan struct {
	SizeBytes     int64
	Algorithm     string // empty keeps the kernel's default
	MemLimitBytes int64  // 0 is no limit
	Swap          bool
	Priority      int
}

// tableEntryBytes is what the kernel takes for each page of a device whether or not anything is stored there: struct
// zram_table_entry of drivers/block/zram/zram_drv.h is 16 bytes on 64-bit machines, 24 with access times.
const tableEntryBytes = 24

// TableBytes is the memory that the kernel takes at once for a device of this plan, before anything is stored in it.
func (p Plan) TableBytes() int64 { return p.SizeBytes / int64(kernel.PageSize()) * tableEntryBytes }

// MinSwapBytes is the least size of a swap area, the same that mkswap takes.
func MinSwapBytes() int64 { return minSwapPages * int64(kernel.PageSize()) }

// Step is one write of a plan, in the order that the kernel wants.
type Step struct {
	Order int    `json:"order" doc:"position in the sequence, from 1"`
	Path  string `json:"path" doc:"file written, or the system call made"`
	Value string `json:"value" doc:"what is written; the device number N is known once hot_add has been read"`
}

// Steps is the ordered list of what Create does: the algorithm before the size, since the kernel refuses it afterwards.
func (p Plan) Steps() []Step {
	var steps []Step
	add := func(path, value string) {
		steps = append(steps, Step{Order: len(steps) + 1, Path: path, Value: value})
	}
	add("/"+hotAdd, "(read: makes zramN)")
	for _, w := range p.writes() {
		add("/sys/block/zramN/"+w.attr, w.value)
	}
	if p.Swap {
		add("/dev/zramN", "swap header with the journal's id as UUID")
		add("swapon(2)", fmt.Sprintf("/dev/zramN priority %d", p.Priority))
	}
	return steps
}

type attrWrite struct{ attr, value string }

func (p Plan) writes() []attrWrite {
	var w []attrWrite
	if p.Algorithm != "" {
		w = append(w, attrWrite{"comp_algorithm", p.Algorithm})
	}
	w = append(w, attrWrite{"disksize", strconv.FormatInt(p.SizeBytes, 10)})
	if p.MemLimitBytes > 0 {
		w = append(w, attrWrite{"mem_limit", strconv.FormatInt(p.MemLimitBytes, 10)})
	}
	return w
}
