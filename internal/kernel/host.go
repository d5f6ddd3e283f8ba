// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Host is what every start record says of the machine, so that numbers are never read without it.
type Host struct {
	Host              string  `json:"host" doc:"host name"`
	Kernel            string  `json:"kernel" doc:"kernel release"`
	Arch              string  `json:"arch" doc:"machine architecture as Go names it"`
	CPUModel          *string `json:"cpu_model" doc:"model name of the first CPU; null where the kernel names none"`
	CPUs              int     `json:"cpus" doc:"CPUs that this process may use"`
	MemTotalBytes     int64   `json:"mem_total_bytes" doc:"MemTotal"`
	MemAvailableBytes int64   `json:"mem_available_bytes" doc:"MemAvailable at the start"`
	PageSizeBytes     int     `json:"page_size_bytes" doc:"the kernel's page size"`
	THP               *string `json:"thp" doc:"transparent huge pages: always, madvise or never; null without THP"`
	SwapCount         int     `json:"swap_count" doc:"active swap areas"`
	Swaps             []Swap  `json:"swaps" doc:"the first eight active swap areas"`
	Zswap             *bool   `json:"zswap" doc:"zswap enabled; null without zswap"`
	CgroupVersion     int     `json:"cgroup_version" doc:"cgroup version of the memory controller: 1, 2, or 0 for none"`
	PSI               bool    `json:"psi" doc:"memory pressure-stall information is on"`
}

// maxSwaps bounds the start record's line; a host with more swap areas still states their number.
const maxSwaps = 8

// Host gathers the host's facts; what cannot be read is null.
func (fs FS) Host() Host {
	h := Host{Arch: runtime.GOARCH, CPUs: runtime.NumCPU(), PageSizeBytes: PageSize()}
	h.Host, _ = os.Hostname()
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		h.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	if proc, err := fs.proc(); err == nil {
		if cpus, err := proc.CPUInfo(); err == nil && len(cpus) > 0 && cpus[0].ModelName != "" {
			h.CPUModel = &cpus[0].ModelName
		}
	}
	if m, err := fs.Meminfo(); err == nil {
		h.MemTotalBytes, h.MemAvailableBytes = m.TotalBytes, m.AvailableBytes
	}
	if text, err := fs.Text("sys/kernel/mm/transparent_hugepage/enabled"); err == nil {
		selected := Selected(text)
		h.THP = &selected
	}
	h.Swaps, _ = fs.Swaps()
	h.SwapCount = len(h.Swaps)
	h.Swaps = h.Swaps[:min(len(h.Swaps), maxSwaps)]
	if text, err := fs.Text("sys/module/zswap/parameters/enabled"); err == nil {
		on := text == "Y"
		h.Zswap = &on
	}
	h.CgroupVersion = fs.CgroupVersion()
	_, h.PSI = fs.MemoryStall()
	return h
}

// CgroupVersion is the version of the hierarchy that the memory controller is in: 1, 2, or 0 where there is none.
func (fs FS) CgroupVersion() int {
	if _, err := os.Stat(fs.Path("sys/fs/cgroup/memory/memory.limit_in_bytes")); err == nil {
		return 1
	}
	if text, err := fs.Text("sys/fs/cgroup/cgroup.controllers"); err == nil {
		for controller := range strings.FieldsSeq(text) {
			if controller == "memory" {
				return 2
			}
		}
	}
	return 0
}

// Selected returns the word in brackets of a kernel choice such as "always [madvise] never", or all of it without any.
func Selected(text string) string {
	if _, rest, ok := strings.Cut(text, "["); ok {
		if word, _, ok := strings.Cut(rest, "]"); ok {
			return word
		}
	}
	return text
}
