// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"os"
	"strconv"
	"strings"
)

// Swap is one line of /proc/swaps. Used counts swap slots, not the memory that a zram device takes for them.
//
//	Filename                Type            Size            Used            Priority
//	/dev/zram1              partition       65532           0               100
type Swap struct {
	Device    string `json:"device" doc:"device or file"`
	SizeBytes int64  `json:"size_bytes" doc:"size of the swap area"`
	UsedBytes int64  `json:"used_bytes" doc:"slots in use, in bytes"`
	Priority  int    `json:"priority" doc:"higher is used first"`
}

// Swaps lists the active swap areas, none on a kernel without swap.
func (fs FS) Swaps() ([]Swap, error) {
	proc, err := fs.proc()
	if err != nil {
		return nil, err
	}
	lines, err := proc.Swaps()
	if errors.Is(err, os.ErrNotExist) {
		return []Swap{}, nil
	}
	if err != nil {
		return nil, err
	}
	swaps := make([]Swap, 0, len(lines))
	for _, l := range lines {
		swaps = append(swaps, Swap{
			Device: unescape(l.Filename), SizeBytes: int64(l.Size) << 10, UsedBytes: int64(l.Used) << 10, Priority: l.Priority})
	}
	return swaps, nil
}

// unescape undoes the octal escapes (\040 for a space) that the kernel's seq_path writes.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if v, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(v))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
