// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"bytes"
	"fmt"
)

// Stall parses a file opened on proc/pressure/memory as it is now, without allocation:
//
//	some avg10=0.00 avg60=0.00 avg300=0.00 total=0
//	full avg10=0.00 avg60=0.00 avg300=0.00 total=0
func (f *File) Stall() (Stall, error) {
	text, err := f.Read()
	if err != nil {
		return Stall{}, err
	}
	var s Stall
	var found int
	for line := range bytes.Lines(text) {
		total := &s.SomeUsec
		switch {
		case bytes.HasPrefix(line, []byte("some ")):
		case bytes.HasPrefix(line, []byte("full ")):
			total = &s.FullUsec
		default:
			continue
		}
		const key = "total="
		if i := bytes.Index(line, []byte(key)); i >= 0 {
			if value, ok := number(line[i+len(key):]); ok {
				*total = value
				found++
			}
		}
	}
	if found != 2 {
		return Stall{}, fmt.Errorf("memory pressure: %d of the two totals found", found)
	}
	return s, nil
}
