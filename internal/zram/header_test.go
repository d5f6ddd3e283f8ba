// SPDX-License-Identifier: Apache-2.0

package zram

import (
	"bytes"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"memline/internal/kernel"
)

const (
	testID   = "0123456789abcdef0123456789abcdef"
	testUUID = "01234567-89ab-cdef-0123-456789abcdef"
)

func TestHeader(t *testing.T) {
	page := kernel.PageSize()
	b, err := swapHeader(testID, 64<<20)
	if err != nil || len(b) != page {
		t.Fatalf("swapHeader: %d bytes, %v", len(b), err)
	}
	if id, err := parseHeader(b); err != nil || id != testID {
		t.Errorf("parseHeader(swapHeader(%s)) = %s, %v", testID, id, err)
	}
	for _, bad := range []struct {
		id   string
		size int64
	}{{"x", 64 << 20}, {testID[:30], 64 << 20}, {testID, 0}, {testID, 9 * int64(page)}, {testID, -1}} {
		if _, err := swapHeader(bad.id, bad.size); err == nil {
			t.Errorf("swapHeader(%q, %d): no error", bad.id, bad.size)
		}
	}
	if _, err := swapHeader(testID, 10*int64(page)); err != nil {
		t.Errorf("swapHeader of the least size: %v", err)
	}
}

// TestHeaderAsMkswap writes what mkswap writes, byte for byte.
func TestHeaderAsMkswap(t *testing.T) {
	mkswap, err := exec.LookPath("mkswap")
	if err != nil {
		t.Skip("skipped: needs mkswap to compare with")
	}
	for _, size := range []int64{40 << 10, 1 << 20, 64 << 20, 3<<30 + 4096} {
		path := filepath.Join(t.TempDir(), "area")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(mkswap, "-U", testUUID, "-L", headerMarker, path).CombinedOutput(); err != nil {
			t.Fatalf("mkswap: %v: %s", err, out)
		}
		want := make([]byte, kernel.PageSize())
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.ReadAt(want, 0); err != nil {
			t.Fatal(err)
		}
		got, err := swapHeader(testID, size)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			for i := range got {
				if got[i] != want[i] {
					t.Errorf("size %d: byte %d is %#x, mkswap writes %#x", size, i, got[i], want[i])
				}
			}
		}
	}
}

// TestHeaderRecognised shows the header to the programs that users look at devices with.
func TestHeaderRecognised(t *testing.T) {
	b, err := swapHeader(testID, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "area")
	if err := os.WriteFile(path, append(b, make([]byte, 1<<20-len(b))...), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		command []string
		want    []string
	}{
		{[]string{"blkid", "-p", path}, []string{`LABEL="memline"`, `UUID="` + testUUID + `"`, `TYPE="swap"`, `VERSION="1"`}},
		{[]string{"file", path}, []string{"swap file", "memline", strings.ReplaceAll(testUUID, "-", "-")}},
	} {
		if _, err := exec.LookPath(test.command[0]); err != nil {
			t.Logf("%s is not here", test.command[0])
			continue
		}
		out, err := exec.Command(test.command[0], test.command[1:]...).CombinedOutput()
		for _, want := range test.want {
			if err != nil || !strings.Contains(string(out), want) {
				t.Errorf("%s says %s, %v, want %s", test.command[0], out, err, want)
			}
		}
	}
}

func FuzzParseHeader(f *testing.F) {
	b, err := swapHeader(testID, 1<<20)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:2000])
	f.Add([]byte(swapMagic))
	f.Fuzz(func(t *testing.T, page []byte) {
		id, err := parseHeader(page)
		if err != nil {
			if id != "" {
				t.Errorf("parseHeader = %q beside %v", id, err)
			}
			return
		}
		if raw, err := hex.DecodeString(id); err != nil || !bytes.Equal(raw, page[headerUUID:headerUUID+16]) {
			t.Errorf("parseHeader = %q, %v", id, err)
		}
	})
}
