// SPDX-License-Identifier: Apache-2.0

//go:build race

package undotest

// raced says that this is a binary of the race detector, which takes half a second to start.
const raced = true
