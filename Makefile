# SPDX-License-Identifier: Apache-2.0
SHELL := /bin/bash
TOOLS := memlock mempressure zramctl arenabench summarize
ARCH ?= $(shell go env GOARCH)
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
GOBUILD := CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X memline/internal/cli.version=$(VERSION)'
PREFIX ?= /usr/local
FUZZTIME ?= 30s

.PHONY: help build arm64 rank test race lint bench fuzz bpf install clean

help: ## Say what there is to make
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## Build the tools for this machine into bin/
	@mkdir -p bin && $(GOBUILD) -o bin/ $(TOOLS:%=./%)

arm64: ## Build the tools for linux/arm64 into bin/arm64/
	@mkdir -p bin/arm64 && GOARCH=arm64 $(GOBUILD) -o bin/arm64/ $(TOOLS:%=./%)

rank: ## Rank this host's swap compressors (root and zram; without them, user-space codecs)
	@scripts/bootstrap.sh && $(MAKE) --no-print-directory build && scripts/bench-compressors.sh --quick

test: ## Run all tests on the real kernel; the last lines count passes and skips, each skip with its reason
	@scripts/bootstrap.sh --with test && $(MAKE) --no-print-directory build arm64 && scripts/test.sh

race: ## Run all tests under the race detector
	@scripts/test.sh -race

lint: ## gofmt, vet, staticcheck, shellcheck
	@test -z "$$(gofmt -l . | tee /dev/stderr)" && go mod tidy -diff && go vet ./... && go tool staticcheck ./... && shellcheck scripts/*.sh scripts/examples/*.sh .ci/run

bench: ## Run the benchmarks that docs/performance.md quotes
	@scripts/bench.sh

fuzz: ## Run every fuzzer for FUZZTIME (30s)
	@scripts/fuzz.sh $(FUZZTIME)

bpf: ## Regenerate the BPF objects (none yet: the probes come later)
	@go generate ./...

install: build ## Install into PREFIX (/usr/local)/bin; zramctl as memline-zramctl beside util-linux's own
	@install -d $(DESTDIR)$(PREFIX)/bin
	@for tool in $(filter-out zramctl,$(TOOLS)); do install -m 755 bin/$$tool $(DESTDIR)$(PREFIX)/bin/ || exit; done
	@install -m 755 bin/zramctl $(DESTDIR)$(PREFIX)/bin/memline-zramctl

clean: ## Remove what make has built
	@rm -rf bin
