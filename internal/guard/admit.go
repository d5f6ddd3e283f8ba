// SPDX-License-Identifier: Apache-2.0

// Package guard decides whether memory may be taken, and stops the taking before the host suffers.
package guard

import (
	"memline/internal/exit"
	"memline/internal/kernel"
)

const (
	// MinReserve is the least that may be left available, whatever the user asks for.
	MinReserve = 128 << 20
	// leastDefault is the least reserve where the user says nothing.
	leastDefault = 500 << 20
	// defaultShare of RAM is the reserve of large machines.
	defaultShare = 0.05
)

// DefaultReserve is what stays available unless the user says otherwise, in bytes: the larger of 5 % of RAM and 500 MiB.
func DefaultReserve(totalBytes int64) int64 {
	return max(int64(defaultShare*float64(totalBytes)), leastDefault)
}

// CheckReserve refuses a reserve below the hard minimum.
func CheckReserve(option string, bytes int64) error {
	if bytes < MinReserve {
		return exit.New(exit.Refused, "reserve", "%s leaves %d MiB available; at least %d MiB must stay, or the host suffers", option, bytes>>20, MinReserve>>20)
	}
	return nil
}

// Admit refuses a request that would leave less than the reserve available. A request is never made smaller.
func Admit(requestBytes, reserveBytes int64, m kernel.Meminfo) error {
	if requestBytes+reserveBytes <= m.AvailableBytes {
		return nil
	}
	return exit.New(exit.Refused, "memory",
		"%d MiB and a reserve of %d MiB do not fit the %d MiB available; ask for at most %d MiB, or give a smaller --reserve (at least %d MiB)",
		ceilMiB(requestBytes), ceilMiB(reserveBytes), m.AvailableBytes>>20, max(m.AvailableBytes-reserveBytes, 0)>>20, MinReserve>>20)
}

// AdmitSwap refuses to page out more than the swap that is free takes, less the share that the host keeps.
func AdmitSwap(bytes int64, m kernel.Meminfo) error {
	switch {
	case m.SwapTotalBytes == 0:
		return exit.New(exit.Unsupported, "no_swap", "no swap is active, so nothing can be paged out; make some with zramctl create --size SIZE --swap")
	case bytes > m.SwapFreeBytes:
		return exit.New(exit.Refused, "swap", "%d MiB do not fit the %d MiB of free swap; add some with zramctl create --size SIZE --swap",
			ceilMiB(bytes), m.SwapFreeBytes>>20)
	}
	return nil
}

func ceilMiB(bytes int64) int64 { return (bytes + 1<<20 - 1) >> 20 }
