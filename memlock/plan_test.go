// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"memline/internal/cli"
	"memline/internal/exit"
	"memline/internal/kernel"
)

func size(t *testing.T, text string) cli.Size {
	t.Helper()
	if text == "" {
		return cli.Size{}
	}
	s, err := cli.ParseSize(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const (
	mib = int64(1) << 20
	gib = int64(1) << 30
)

func TestPlan(t *testing.T) {
	host := kernel.Meminfo{TotalBytes: 16 * gib, AvailableBytes: 10 * gib} // the default reserve is 5 %: 819 MiB
	for _, c := range []struct {
		size, leave, forTest, buffer, reserve string
		lock                                  int64
		code                                  int
	}{
		{size: "4G", lock: 4 * gib},
		{size: "50%", lock: 5 * gib},
		{size: "0M", lock: 0},
		{size: "9500M", lock: 9500 * mib, code: exit.Refused},
		{size: "9500M", reserve: "500M", lock: 9500 * mib},
		{size: "9G", reserve: "1%", lock: 9 * gib, code: exit.Refused}, // 102 MiB would be left
		{leave: "2G", lock: 8 * gib},
		{leave: "20%", lock: 8 * gib},
		{leave: "11G", lock: 0},
		{forTest: "256M", buffer: "500M", lock: 10*gib - 756*mib},
		{forTest: "50%", buffer: "1G", lock: 4 * gib},
		{forTest: "9G", buffer: "1G", lock: 0},
		{forTest: "100G", lock: 0},
	} {
		o := options{Size: size(t, c.size), Leave: size(t, c.leave), ForTest: size(t, c.forTest), Buffer: size(t, c.buffer), Reserve: size(t, c.reserve)}
		p := makePlan(&o, host)
		if p.LockBytes != c.lock {
			t.Errorf("%+v: lock_bytes = %d, want %d", c, p.LockBytes, c.lock)
		}
		if got, _ := exit.Code(p.admit(host)); got != c.code {
			t.Errorf("%+v: admit has code %d, want %d", c, got, c.code)
		}
		if (p.FloorBytes == 0) != (p.LockBytes == 0) {
			t.Errorf("%+v: floor_bytes = %d for %d bytes", c, p.FloorBytes, p.LockBytes)
		}
	}
}

func TestBestEffortTakesTheRoomThereIs(t *testing.T) {
	host := kernel.Meminfo{TotalBytes: 16 * gib, AvailableBytes: 10 * gib}
	o := options{Size: size(t, "12G"), Reserve: size(t, "1G"), BestEffort: true}
	h := &holding{options: &o, plan: makePlan(&o, host)}
	if err := h.admit(host); err != nil {
		t.Fatal(err)
	}
	if h.plan.LockBytes != 9*gib || h.short == nil {
		t.Errorf("a best effort at 12 GiB locks %d bytes (%v), want the 9 GiB there is room for and a reason", h.plan.LockBytes, h.short)
	}
	o.Reserve = size(t, "0.1%")
	h = &holding{options: &o, plan: makePlan(&o, host)}
	if code, _ := exit.Code(h.admit(host)); code != exit.Refused {
		t.Errorf("a best effort below the hard minimum of the reserve has code %d, want 75", code)
	}
}
