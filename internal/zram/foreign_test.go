// SPDX-License-Identifier: Apache-2.0

package zram

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"testing"

	"memline/internal/exit"
	"memline/internal/kernel"
	"memline/internal/undo"
)

// TestForeign keeps other people's devices as they are through everything that memline does: one with data, one swapped
// on, one empty.
func TestForeign(t *testing.T) {
	c, j := real(t)
	withData := foreign(t, 1<<20)
	data := bytes.Repeat([]byte("somebody's data "), 4096)
	writeDirect(t, withData, data)
	swapped := foreign(t, 1<<20)
	command(t, "mkswap", swapped.Node())
	command(t, "swapon", "-p", "3", swapped.Node())
	empty := foreign(t, 0)

	owner, script := sleeper(t)
	kept := create(t, c, j, undo.Persistent(), Plan{SizeBytes: 1 << 20, Swap: true, Priority: 4})
	create(t, c, j, owner, Plan{SizeBytes: 1 << 20, Swap: true, Priority: 5})
	create(t, c, j, owner, Plan{SizeBytes: 1 << 20})
	end(script)
	for range 2 {
		r, err := restore(t, c, j)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range r.Differences {
			t.Errorf("not as before: %+v", d)
		}
	}
	for _, d := range []Device{withData, swapped, empty} {
		if _, err := d.Find(j); code(err) != exit.Refused {
			t.Errorf("Find of the foreign %s = %v, want code %d", d.Name(), err, exit.Refused)
		}
	}
	got, err := os.ReadFile(withData.Node())
	if err != nil || !bytes.HasPrefix(got, data) {
		t.Errorf("the data of %s is not as before (%v)", withData.Name(), err)
	}
	if on, _, err := swapped.swapUse(); !on || err != nil {
		t.Errorf("%s is no longer swapped on (%v)", swapped.Name(), err)
	}
	if empty.Initialised() {
		t.Errorf("%s has been set up", empty.Name())
	}
	destroy(t, kept, j)
	wantStanding(t, j, 0)
}

// TestNumberReused gives the number of a device of ours to somebody else's, even one with a copy of our swap header: the
// kernel's sequence number tells them apart.
func TestNumberReused(t *testing.T) {
	for _, theirs := range []string{"empty", "plain", "swapped on", "with our header"} {
		t.Run(theirs, func(t *testing.T) {
			c, j := real(t)
			owner, script := sleeper(t)
			ours := create(t, c, j, owner, Plan{SizeBytes: 1 << 20, Swap: true, Priority: 4})
			header, err := os.ReadFile(ours.Node())
			if err != nil {
				t.Fatal(err)
			}
			was, _ := ours.sequence()
			command(t, "swapoff", ours.Node()) // somebody else takes it away ...
			if err := writeFile(ours.root.Path(hotRemove), strconv.Itoa(ours.Number)); err != nil {
				t.Fatal(err)
			}
			size := int64(1 << 20)
			if theirs == "empty" {
				size = 0
			}
			d := foreign(t, size) // ... and gets the number
			if d.Number != ours.Number {
				t.Fatalf("the kernel gave %s, not %s again", d.Name(), ours.Name())
			}
			switch theirs {
			case "swapped on":
				command(t, "mkswap", d.Node())
				command(t, "swapon", d.Node())
			case "with our header":
				writeDirect(t, d, header[:kernel.PageSize()])
				command(t, "swapon", d.Node())
			}
			seq, _ := d.sequence()
			if seq == was {
				t.Fatalf("sequence number %d was given twice", seq)
			}
			end(script)
			if _, err := d.Find(j); code(err) != exit.Refused {
				t.Errorf("Find = %v, want code %d", err, exit.Refused)
			}
			if _, err := restore(t, c, j); err != nil {
				t.Errorf("Restore: %v", err)
			}
			wantStanding(t, j, 0)
			if now, _ := d.sequence(); now != seq {
				t.Errorf("%s was disk %d, is %d: restore has taken somebody else's device", d.Name(), seq, now)
			}
			if on, _, _ := d.swapUse(); on != strings.Contains(theirs, "swapped on") && theirs != "with our header" {
				t.Errorf("swapped on = %t after restore", on)
			}
		})
	}
}
