// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"strconv"
	"strings"
)

// topicWords is the size of the vocabulary of content words that one page draws from. A text is about
// something, so its words return sooner than those of the language.
const topicWords = 160

// topicPhrases is the number of phrases of two to five words that one page repeats: names of things,
// habits of the author. They are what a compressor finds longer matches in.
const topicPhrases = 48

// writer writes prose.
type writer struct {
	rng
	function, content, names []string
	functionRank             *zipf
	topicRank                *zipf
	phraseRank               *zipf
	topic                    [topicWords]string
	phrases                  [topicPhrases][]byte
}

func newWriter(r rng) *writer {
	w := &writer{
		rng:      r,
		function: strings.Fields(functionWords), content: strings.Fields(contentWords), names: strings.Fields(properNames),
	}
	w.functionRank = newZipf(len(w.function), 2)
	w.topicRank = newZipf(topicWords, 6)
	w.phraseRank = newZipf(topicPhrases, 6)
	return w
}

// page fills a page with prose and returns where it may be stamped.
func (w *writer) page(page []byte) (stampAt uint16) {
	w.newTopic()
	stampAfter := w.between(200, PageSize-600) // The longest sentence has fewer than 500 bytes.
	out := make([]byte, 0, PageSize+1024)
	for len(out) < PageSize {
		for range w.between(3, 8) {
			if stampAt == 0 && len(out) > stampAfter {
				out = append(out, "Record "...)
				stampAt = uint16(len(out))
				out = append(out, "0123456789abcdef "...)
			}
			out = w.sentence(out)
			if len(out) >= PageSize {
				break
			}
		}
		out[len(out)-1] = '\n'
		out = append(out, '\n')
	}
	copy(page, out)
	return stampAt
}

// newTopic chooses the words and phrases of a page.
func (w *writer) newTopic() {
	for i := range w.topic {
		w.topic[i] = w.content[w.below(len(w.content))]
	}
	for i := range w.phrases {
		p := w.phrases[i][:0]
		if w.percent(70) {
			p = append(append(p, w.function[w.functionRank.draw(&w.rng)]...), ' ')
		}
		p = append(append(p, w.topic[w.topicRank.draw(&w.rng)]...), ' ')
		if w.percent(50) {
			p = append(append(p, w.function[w.functionRank.draw(&w.rng)]...), ' ')
		}
		w.phrases[i] = append(p, w.topic[w.topicRank.draw(&w.rng)]...)
	}
}

func (w *writer) sentence(out []byte) []byte {
	start, n := len(out), w.between(4, 16)
	for i := range n {
		switch {
		case w.percent(30):
			out = append(out, w.phrases[w.phraseRank.draw(&w.rng)]...)
		case w.percent(45):
			out = append(out, w.function[w.functionRank.draw(&w.rng)]...)
		case w.percent(4):
			out = append(out, w.names[w.below(len(w.names))]...)
		case w.percent(3):
			out = strconv.AppendInt(out, int64(w.below(w.below(3000)+2)), 10)
		default:
			out = append(out, w.topic[w.topicRank.draw(&w.rng)]...)
		}
		if i > 1 && i < n-2 && w.percent(9) {
			out = append(out, ',')
		}
		out = append(out, ' ')
	}
	if c := out[start]; c >= 'a' && c <= 'z' {
		out[start] = c - 'a' + 'A'
	}
	out[len(out)-1] = '.'
	if w.percent(8) {
		out[len(out)-1] = '?'
	}
	return append(out, ' ')
}

// zipf draws ranks from 0, rank k with a weight of 1 / (k + shift). It is made of integers only, so that
// no rounding of a processor changes what is drawn.
type zipf struct {
	slots [4096]uint16
}

func newZipf(n, shift int) *zipf {
	const one = 1 << 32
	total := 0
	for k := range n {
		total += one / (k + shift)
	}
	z, sum, slot := new(zipf), 0, 0
	for k := range n {
		sum += one / (k + shift)
		for ; slot < len(z.slots) && slot*total < sum*len(z.slots); slot++ {
			z.slots[slot] = uint16(k)
		}
	}
	return z
}

func (z *zipf) draw(r *rng) int { return int(z.slots[r.next()>>52]) }
