// SPDX-License-Identifier: Apache-2.0

package record

// clipStrings shortens every string value of an encoded JSON value to about limit bytes, marking the cut with "...". Keys
// stay whole: they are what the schema knows.
func clipStrings(body []byte, limit int) []byte {
	out := make([]byte, 0, len(body))
	for i := 0; i < len(body); i++ {
		if body[i] != '"' {
			out = append(out, body[i])
			continue
		}
		end, cut := i+1, 0
		for body[end] != '"' {
			if cut == 0 && end-i > limit {
				cut = end
			}
			end += charLen(body[end:])
		}
		if cut == 0 || body[end+1] == ':' {
			out = append(out, body[i:end+1]...)
		} else {
			out = append(append(out, body[i:cut]...), `..."`...)
		}
		i = end
	}
	return out
}

// charLen is the length of the character that an encoded string goes on with: an escape, a pair of escapes for one
// character beyond the first plane, or a UTF-8 sequence.
func charLen(b []byte) int {
	const escape = len(`\uXXXX`)
	switch {
	case b[0] == '\\' && b[1] == 'u':
		if high := b[2]|0x20 == 'd' && (b[3] == '8' || b[3] == '9' || b[3]|0x20 == 'a' || b[3]|0x20 == 'b'); high && b[escape] == '\\' && b[escape+1] == 'u' {
			return 2 * escape
		}
		return escape
	case b[0] == '\\':
		return len(`\n`)
	}
	n := 1
	for b[n]&0xC0 == 0x80 {
		n++
	}
	return n
}
