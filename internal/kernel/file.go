// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// File is a kernel text file that is read in a loop: opened once, read with pread into one buffer, no allocation.
type File struct {
	fd  int
	buf []byte
}

// OpenFile opens a kernel file given from the root for reading in a loop.
func (fs FS) OpenFile(elem ...string) (*File, error) {
	path := fs.Path(elem...)
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return &File{fd: fd, buf: make([]byte, 16<<10)}, nil
}

// Read returns the file's text now; it is valid until the next Read.
func (f *File) Read() ([]byte, error) {
	n := 0
	for {
		m, err := unix.Pread(f.fd, f.buf[n:], int64(n))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if m == 0 {
			if n == 0 {
				return nil, io.ErrUnexpectedEOF
			}
			return f.buf[:n], nil
		}
		if n += m; n == len(f.buf) {
			f.buf = append(f.buf, make([]byte, len(f.buf))...)
		}
	}
}

// Close closes the file.
func (f *File) Close() error { return unix.Close(f.fd) }
