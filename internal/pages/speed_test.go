// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"testing"
)

// BenchmarkFill compares filling resident memory with its floor, a copy from the same templates.
func BenchmarkFill(b *testing.B) {
	memory := make([]byte, 64<<20)
	for _, name := range Names() {
		g := generator(b, name, 1)
		g.Fill(memory, 0)
		if pool := g.Templates(); len(pool) > 0 {
			b.Run(name+"/floor", func(b *testing.B) {
				b.SetBytes(int64(len(memory)))
				for b.Loop() {
					for at := 0; at < len(memory); {
						at += copy(memory[at:], pool)
					}
				}
			})
		}
		b.Run(name+"/fill", func(b *testing.B) {
			b.SetBytes(int64(len(memory)))
			for b.Loop() {
				g.Fill(memory, 0)
			}
		})
		b.Run(name+"/verify", func(b *testing.B) {
			b.SetBytes(int64(len(memory)))
			g.Fill(memory, 0)
			for b.Loop() {
				if _, _, ok := g.Verify(memory, 0); !ok {
					b.Fatal("wrong page")
				}
			}
		})
	}
}

func BenchmarkHistogram(b *testing.B) {
	const n = 1 << 20
	g := generator(b, "mixed", 1)
	for b.Loop() {
		g.Histogram(n)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/page")
}

func BenchmarkNew(b *testing.B) {
	for _, name := range Names() {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				generator(b, name, 1)
			}
		})
	}
}
