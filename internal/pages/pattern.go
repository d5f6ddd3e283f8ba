// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"fmt"
	"slices"
	"strings"
)

// Class is a kind of page content, by the name that patterns and records use.
type Class string

// The classes that exist; the package comment says what they contain.
const (
	Zeros      Class = "zeros"
	Same       Class = "same"
	Sequential Class = "sequential"
	Random     Class = "random"
	Text       Class = "text"
	Pointers   Class = "pointers"
)

// templated reports whether pages of the class are copied from a pool.
func (c Class) templated() bool { return c == Random || c == Text || c == Pointers }

// Share is the weight of a class in a pattern.
type Share struct {
	Class  Class
	Weight int
}

// Pattern is what to fill memory with: classes and their weights. It comes from [Parse].
type Pattern struct {
	name   string
	shares []Share
}

// Parse returns the pattern of that name, or an error which lists the names there are.
func Parse(name string) (Pattern, error) {
	if name == "mixed" {
		return Pattern{name, []Share{{Text, 40}, {Pointers, 30}, {Random, 15}, {Sequential, 10}, {Same, 5}}}, nil
	}
	if !slices.Contains(Names(), name) {
		return Pattern{}, fmt.Errorf("pattern %q does not exist; choose one of %s", name, strings.Join(Names(), ", "))
	}
	return Pattern{name, []Share{{Class(name), 1}}}, nil
}

// Names returns the names that [Parse] knows.
func Names() []string {
	return []string{"zeros", "same", "sequential", "random", "text", "pointers", "mixed"}
}

// String returns the name from which [Parse] makes the pattern again.
func (p Pattern) String() string { return p.name }

// Shares returns the classes and their weights.
func (p Pattern) Shares() []Share { return slices.Clone(p.shares) }
