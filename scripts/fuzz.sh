#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Run every fuzzer of the repository for the time given (30s each).
set -euo pipefail

cd "$(dirname "$0")/.."
grep -rl --include='*_test.go' '^func Fuzz' . | while IFS= read -r file; do
  grep -o '^func Fuzz[A-Za-z0-9]*' "$file" | while read -r _ name; do
    go test -run '^$' -fuzz "^$name\$" -fuzztime "${1:-30s}" "./$(dirname "$file")"
  done
done
