#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Run the Go tests and end with the counts of passed and skipped tests, each skip with its reason. Arguments go to go test.
set -euo pipefail

cd "$(dirname "$0")/.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Everything is built first and the packages run one after the other: they share one kernel, whose memory and swap each of
# them compares before and after, and nothing is measured while a build runs.
go test -exec true "$@" ./... >/dev/null
code=0
go tool gotestsum --format pkgname-and-test-fails --hide-summary=output,skipped --jsonfile "$log" -- -p 1 -timeout 30m "$@" ./... || code=$?

echo
echo "Skipped, with reasons:"
# The reason is the line that the test printed before its own SKIP line.
jq -r 'select(.Action == "output" and .Test != null) | [.Package, .Test, .Output] | @tsv' "$log" |
  awk -F '\t' '
    $3 ~ /_test\.go:[0-9]+:|kerneltest\.go:[0-9]+:/ { sub(/^ *[a-z_]+\.go:[0-9]+: */, "", $3); reason[$1 $2] = $3 }
    $3 ~ /--- SKIP:/ { n++; r = reason[$1 $2]; gsub(/\\n/, "", r); printf "  %s %s: %s\n", $1, $2, r }
    END { if (!n) print "  none" }'
counts=$(jq -rs '[.[] | select(.Test != null and (.Action == "pass" or .Action == "fail" or .Action == "skip")) | .Action]
  | "\(map(select(. == "pass")) | length) passed, \(map(select(. == "fail")) | length) failed, \(map(select(. == "skip")) | length) skipped"' "$log")
echo
echo "$counts"
exit "$code"
