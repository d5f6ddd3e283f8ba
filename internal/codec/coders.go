// SPDX-License-Identifier: Apache-2.0

package codec

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// newCoder returns the coder of a name in [Names].
func newCoder(name string) (coder, error) {
	family, level, _ := strings.Cut(name, "-")
	n, _ := strconv.Atoi(level)
	switch family {
	case "lz4":
		return new(lz4Coder), nil
	case "lz4hc":
		// The library's level is the number of candidates to search, whatever its constants suggest.
		return &lz4hcCoder{c: lz4.CompressorHC{Level: 1 << (n - 1)}}, nil
	case "s2":
		return s2Coder{}, nil
	case "zstd":
		return newZstd(n)
	}
	return rawCoder{}, nil
}

// rawCoder saves nothing, so that [Codec.Append] stores the page itself: one copy.
type rawCoder struct{}

func (rawCoder) append(dst, _ []byte) []byte { return dst[:len(dst)+PageSize] }

func (rawCoder) decode(_, block []byte) (int, error) {
	return 0, fmt.Errorf("a raw page has %d bytes, not %d", PageSize, len(block))
}

// lz4Coder makes the very bytes that the C library's fast compressor makes. The library's other fast
// compressor hashes 6 bytes instead of 4: on single pages it is no faster and stores prose 7 % larger.
type lz4Coder struct {
	c lz4.CompressorCCompat
}

func (l *lz4Coder) append(dst, page []byte) []byte {
	n, err := l.c.CompressBlock(page, spare(dst))
	return lz4Result(dst, page, n, err)
}

func (*lz4Coder) decode(page, block []byte) (int, error) { return lz4.UncompressBlock(block, page) }

type lz4hcCoder struct {
	c lz4.CompressorHC
}

func (l *lz4hcCoder) append(dst, page []byte) []byte {
	n, err := l.c.CompressBlock(page, spare(dst))
	return lz4Result(dst, page, n, err)
}

func (*lz4hcCoder) decode(page, block []byte) (int, error) { return lz4.UncompressBlock(block, page) }

// spare returns the unused capacity of dst, which is at least Room.
func spare(dst []byte) []byte { return dst[len(dst):cap(dst)] }

// lz4Result extends dst by the n bytes written behind it. With Room to write into, the library always
// succeeds; if it ever did not, the page would be stored raw.
func lz4Result(dst, page []byte, n int, err error) []byte {
	if n == 0 || err != nil {
		return append(dst, page...)
	}
	return dst[:len(dst)+n]
}

type s2Coder struct{}

func (s2Coder) append(dst, page []byte) []byte {
	return dst[:len(dst)+len(s2.Encode(spare(dst), page))]
}

func (s2Coder) decode(page, block []byte) (int, error) {
	n, err := s2.DecodedLen(block)
	if err != nil {
		return 0, err
	}
	if n > PageSize {
		return n, errors.New("the block holds more than a page")
	}
	_, err = s2.Decode(page, block)
	return n, err
}

type zstdCoder struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

func newZstd(level int) (*zstdCoder, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)), zstd.WithEncoderConcurrency(1),
		zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false), zstd.WithWindowSize(PageSize))
	if err != nil {
		return nil, err
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(PageSize), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		return nil, err
	}
	return &zstdCoder{enc, dec}, nil
}

func (z *zstdCoder) append(dst, page []byte) []byte { return z.enc.EncodeAll(page, dst) }

func (z *zstdCoder) decode(page, block []byte) (int, error) {
	got, err := z.dec.DecodeAll(block, page[:0:PageSize])
	return len(got), err
}
