#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Run the benchmarks whose figures docs/performance.md quotes, one package after the other on a quiet machine. Arguments go
# to go test.
set -euo pipefail

cd "$(dirname "$0")/.."
go test -c -o /dev/null ./mempressure # build first: nothing is timed while a build runs
for package in mempressure internal/pages internal/hist internal/codec; do
  go test -run '^$' -bench . -timeout 30m "$@" "./$package"
done
