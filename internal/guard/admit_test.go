// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"memline/internal/exit"
	"memline/internal/kernel"
)

const (
	mib = int64(1) << 20
	gib = int64(1) << 30
)

func TestDefaultReserve(t *testing.T) {
	for _, c := range []struct{ total, want int64 }{
		{0, 500 * mib}, {2 * gib, 500 * mib}, {100 * gib, 5 * gib},
	} {
		if got := DefaultReserve(c.total); got != c.want {
			t.Errorf("DefaultReserve(%d) = %d, want %d", c.total, got, c.want)
		}
	}
}

func TestAdmit(t *testing.T) {
	m := kernel.Meminfo{AvailableBytes: 1000 * mib}
	for _, c := range []struct {
		request, reserve int64
		code             int
	}{
		{0, 500 * mib, exit.OK},
		{500 * mib, 500 * mib, exit.OK},
		{500*mib + 1, 500 * mib, exit.Refused},
		{1000 * mib, 0, exit.OK},
		{1 << 50, 128 * mib, exit.Refused},
		{0, 1001 * mib, exit.Refused},
	} {
		if got, _ := exit.Code(Admit(c.request, c.reserve, m)); got != c.code {
			t.Errorf("Admit(%d, %d) of 1000 MiB: code %d, want %d", c.request, c.reserve, got, c.code)
		}
	}
	err := Admit(700*mib, 500*mib, m)
	for _, want := range []string{"700 MiB", "reserve of 500 MiB", "1000 MiB available", "at most 500 MiB"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Admit = %v, want %q in it", err, want)
		}
	}
}

func TestAdmitSwap(t *testing.T) {
	for _, c := range []struct {
		bytes int64
		m     kernel.Meminfo
		code  int
	}{
		{1, kernel.Meminfo{}, exit.Unsupported},
		{64 * mib, kernel.Meminfo{SwapTotalBytes: gib, SwapFreeBytes: 64 * mib}, exit.OK},
		{64*mib + 1, kernel.Meminfo{SwapTotalBytes: gib, SwapFreeBytes: 64 * mib}, exit.Refused},
	} {
		if got, _ := exit.Code(AdmitSwap(c.bytes, c.m)); got != c.code {
			t.Errorf("AdmitSwap(%d, %+v): code %d, want %d", c.bytes, c.m, got, c.code)
		}
	}
}

func TestCheckReserve(t *testing.T) {
	for bytes, want := range map[int64]int{MinReserve: exit.OK, MinReserve - 1: exit.Refused, 0: exit.Refused} {
		if got, _ := exit.Code(CheckReserve("--reserve", bytes)); got != want {
			t.Errorf("CheckReserve(%d): code %d, want %d", bytes, got, want)
		}
	}
}

// TestSacrifice runs itself as a child, since the score of a process can only be raised.
func TestSacrifice(t *testing.T) {
	const child = "MEMLINE_TEST_SACRIFICE"
	if os.Getenv(child) != "" {
		if err := Sacrifice(kernel.Root()); err != nil {
			t.Fatal(err)
		}
		score, err := os.ReadFile("/proc/self/oom_score_adj")
		if got, want := string(score), "1000\n"; err != nil || got != want {
			t.Errorf("oom_score_adj = %q, %v, want %q", got, err, want)
		}
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestSacrifice$")
	cmd.Env = append(os.Environ(), child+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("as a child: %v\n%s", err, out)
	}
}
