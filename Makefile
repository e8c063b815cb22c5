# Everything that one does with cacheflow; `make help` lists it.

GO          ?= go
FUZZTIME    ?= 10m
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
VERSION     := $(shell git describe --tags --always --dirty 2>/dev/null)
# The device of the default route, by the kernel's own table: route_table in proc_net(5).
INTERFACE   ?= $(shell awk '$$2 == "00000000" && $$8 == "00000000" { print $$1; exit }' /proc/net/route 2>/dev/null)
SUDO        := $(if $(filter-out 0,$(shell id -u)),sudo)

# The binary is static and runs on any Linux of its architecture; the version above is all that it says of its checkout.
export CGO_ENABLED = 0
export GOFLAGS    += -buildvcs=false
# Debian keeps collectors and network tools where a user's PATH does not look.
export PATH := $(PATH):/usr/local/sbin:/usr/sbin:/sbin

# Packages that other systems than Linux can build.
PORTABLE := ./cache ./cache/flow ./capture ./capture/pcapfile ./export
# Architectures besides the builder's: 32 bits, both byte orders' little one, and no unaligned access.
CROSS    := arm arm64 mipsle riscv64
# Packages whose goroutines share memory.
RACE     := ./cache/route ./capture/afpacket ./capture/kernel ./capture/link ./capture/pcapfile ./export \
            $(addprefix ./cmd/internal/,collector control daemon dtls generate manifest recordfile render top)
# Tests that the race detector leaves out, which is slow and in CI gets little of the CPU: one is timed, and
# others have the same goroutines do the same. They run without it.
RACE_LESS := TestSlowAtTheEndHoldsNobodyUp|TestRecordsAllocateNothing|TestCaptureAllocatesNothing|TestAutonomousSystems|TestOrderOfTime|TestRecordFaults|TestTemplatesOnTheirWay|TestSameSeedSameOctets/(netflow5|ipfix)
# Packages whose tests compute, and may do so late: in CI they run beside the others (test/lanes.sh).
COMPUTING := ./cmd/internal/generate ./cmd/internal/verify ./test/mutate

# `make lint` has vetted all packages when CI tests them.
VET := $(if $(CI),-vet=off)

.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help build run demo test test-timed test-computing test-386 test-kernels mutate tools race bench bench-kernel fuzz lint cross generate check-generated fmt clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build the static binary, bin/cacheflow
	@$(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/cacheflow ./cmd/cacheflow

run: build ## meter the interface of the default route (INTERFACE=…) and show its flows; Ctrl-C ends it
	@$(if $(SUDO),echo 'capturing packets needs root or CAP_NET_RAW: running bin/cacheflow with sudo',:)
	@$(SUDO) bin/cacheflow run $(if $(INTERFACE),-i $(INTERFACE))

demo: build ## watch the exporter at work on a gateway between network namespaces (root)
	@$(GO) build -o bin/demo ./test/demo
	@$(if $(SUDO),echo 'network namespaces need root: running bin/demo with sudo',:)
	@$(SUDO) bin/demo bin/cacheflow

# Packages one after another: their traffic would disturb each other's. Not from the cache, which does not see that the binary has changed.
TEST := $(GO) test -count=1 -p 1 $(VET)

test: tools $(if $(CI),,race test-386) ## install what the tests need (Debian, as root) and run all tests
	@$(if $(CI),sh test/lanes.sh,$(TEST) ./...)

# The two lanes of CI. What bears to be starved comes last: fuzzing; and what would starve
# others: the kernels, which say where they cannot be had.
test-timed:
	@$(TEST) $$($(GO) list ./... | grep -vxF "$$($(GO) list ./test/kernels $(COMPUTING))")
	@$(TEST) -v -run TestKernels ./test/kernels

test-computing: race test-386
	@$(GO) test -count=1 $(VET) $(COMPUTING)
	@$(MAKE) --no-print-directory fuzz FUZZTIME=20s

# Of the foreign architectures, the one whose code runs on amd64, too.
test-386:
	@[ "$$($(GO) env GOHOSTARCH)" != amd64 ] || GOARCH=386 $(GO) test -short ./cache/flow ./cache/prefetch ./cache ./capture ./export

test-kernels: ## meter on Debian's kernels 5.10, 6.1, 6.1 PREEMPT_RT and 6.12, in virtual machines (installs qemu on Debian, as root)
	@sh test/kernels/tools.sh
	@CACHEFLOW_TEST_KERNELS=1 $(GO) test -count=1 -timeout 30m -run TestKernels ./test/kernels -v

mutate: tools ## break the source in many ways, one at a time, and see that a test notices each (root)
	@CACHEFLOW_MUTATE=1 $(GO) test -count=1 -timeout 30m -v ./test/mutate

tools:
	@sh test/tools.sh

# The race detector needs cgo.
race:
	@if command -v gcc >/dev/null; then CGO_ENABLED=1 $(GO) test -race -short -skip '$(RACE_LESS)' $(VET) $(RACE); \
	else echo 'no gcc: the race detector is left out'; fi

bench: ## run the benchmarks
	@$(GO) test -run '^$$' -bench . -benchmem ./...

# What the program costs in the kernel, by BPF_PROG_RUN on one CPU; see BenchmarkRun.
bench-kernel: ## run the benchmarks of the program in the kernel (root)
	@$(GO) test -run '^$$' -bench 'Run|Note|Drain|CPUs' -cpu 1 -count 2 -benchtime 200ms ./capture/kernel

fuzz: ## run each fuzz target for FUZZTIME (10m), as many at a time as there are CPUs
	@grep -roE '^func Fuzz[A-Za-z0-9_]+' --include='*_test.go' . | sort | sed -E 's|^(.*)/[^/]*:func (.*)|\1 \2|' | \
	xargs -n 2 -P "$$(getconf _NPROCESSORS_ONLN)" sh test/fuzz.sh $(FUZZTIME)

lint: tools cross check-generated ## check format, vet, staticcheck, foreign architectures, go.mod and generated files
	@files=$$(gofmt -l cache capture cmd export test); [ -z "$$files" ] || { echo "gofmt would change: $$files"; exit 1; }
	@$(GO) vet ./...
	@$(GO) run $(STATICCHECK) ./...
	@$(GO) mod tidy -diff

cross:
	@for arch in $(CROSS); do GOOS=linux GOARCH=$$arch $(GO) vet ./... || exit 1; done
	@GOOS=darwin $(GO) vet $(PORTABLE)

generate: ## make the generated files anew
	@$(GO) generate ./...

# What `make generate` makes is what is committed, whatever else has changed in the tree.
check-generated:
	@tree() { git status --porcelain; git diff; }; \
	before=$$(tree | cksum); $(MAKE) --no-print-directory generate; \
	[ "$$before" = "$$(tree | cksum)" ] || { git --no-pager diff --stat; echo 'generated files are stale: run make generate and commit'; exit 1; }

fmt: ## format the source
	@gofmt -w cache capture cmd export test

clean: ## remove what was built
	@rm -rf bin
