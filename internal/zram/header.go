// SPDX-License-Identifier: Apache-2.0

package zram

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"memline/internal/kernel"
)

// The swap area's first page, as include/linux/swap.h has it: version, last_page and nr_badpages from byte 1024, then the
// UUID and the volume label; the signature closes the page.
const (
	headerInfo   = 1024
	headerUUID   = headerInfo + 12
	headerLabel  = headerUUID + 16
	labelLength  = 16
	swapMagic    = "SWAPSPACE2"
	swapVersion  = 1
	headerMarker = "memline"
	minSwapPages = 10 // what mkswap takes at least
)

// swapHeader is the first page of a swap area of this size whose UUID is the journal's id.
func swapHeader(id string, sizeBytes int64) ([]byte, error) {
	uuid, err := hex.DecodeString(id)
	if err != nil || len(uuid) != 16 {
		return nil, fmt.Errorf("%q is not a journal id", id)
	}
	page := kernel.PageSize()
	pages := sizeBytes / int64(page)
	if pages < minSwapPages {
		return nil, fmt.Errorf("a swap area of %d pages is too small, it takes at least %d", pages, minSwapPages)
	}
	b := make([]byte, page)
	binary.NativeEndian.PutUint32(b[headerInfo:], swapVersion)
	binary.NativeEndian.PutUint32(b[headerInfo+4:], uint32(min(pages-1, 1<<32-1)))
	copy(b[headerUUID:], uuid)
	copy(b[headerLabel:headerLabel+labelLength], headerMarker)
	copy(b[page-len(swapMagic):], swapMagic)
	return b, nil
}

// headerID returns the journal id that a swap area's header carries; errNotIt where it is not memline's.
func (d Device) headerID() (string, error) {
	fd, err := d.openNode(unix.O_RDONLY)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	b := make([]byte, kernel.PageSize())
	if n, err := unix.Pread(fd, b, 0); err != nil || n != len(b) {
		return "", fmt.Errorf("reading the swap header of %s: %w", d.Node(), errors.Join(err, shortRead(n, len(b))))
	}
	id, err := parseHeader(b)
	if err != nil {
		return "", errNotIt{fmt.Errorf("%s: %w", d.Node(), err)}
	}
	return id, nil
}

func shortRead(n, want int) error {
	if n == want {
		return nil
	}
	return fmt.Errorf("%d bytes of %d", n, want)
}

// parseHeader returns the journal id in a swap header that memline wrote.
func parseHeader(page []byte) (string, error) {
	switch {
	case len(page) < headerLabel+labelLength+len(swapMagic):
		return "", errors.New("too short for a swap header")
	case string(page[len(page)-len(swapMagic):]) != swapMagic:
		return "", errors.New("no swap header")
	case string(page[headerLabel:headerLabel+len(headerMarker)]) != headerMarker:
		return "", errors.New("a swap header that memline did not write")
	}
	return hex.EncodeToString(page[headerUUID : headerUUID+16]), nil
}

// openNode opens the device's node after making sure that it is this very block device.
func (d Device) openNode(flags int) (int, error) {
	text, err := d.text("dev")
	if err != nil {
		return -1, err
	}
	fd, err := unix.Open(d.Node(), flags|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", d.Node(), err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return -1, err
	}
	if got := fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev)); st.Mode&unix.S_IFMT != unix.S_IFBLK || got != text {
		unix.Close(fd)
		return -1, fmt.Errorf("%s is not the block device %s", d.Node(), text)
	}
	return fd, nil
}

// writeHeader puts a swap header on the device.
func (d Device) writeHeader(ctx context.Context, id string, sizeBytes int64) error {
	b, err := swapHeader(id, sizeBytes)
	if err != nil {
		return err
	}
	again := func(err error) bool { return errors.Is(err, os.ErrNotExist) || transient(err) } // udev may still be making the node
	return d.retry(ctx, again, func() error {
		fd, err := d.openNode(unix.O_WRONLY)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if _, err := unix.Pwrite(fd, b, 0); err != nil {
			return fmt.Errorf("writing the swap header of %s: %w", d.Node(), err)
		}
		return unix.Fsync(fd)
	})
}
