# Go and make are all it needs; other tools come through the Go module proxy,
# at the versions of .ci/tools/go.mod. `make` alone lists the targets.

export PATH := $(PATH):/usr/local/go/bin
export CGO_ENABLED ?= 0

T       ?= 30s
MINUTES ?= 10
SIM     ?= 20s
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
FLAGS   := -trimpath -ldflags '-s -w -X main.version=$(VERSION)'
TOOLS   := bin/tools
GO      := $(shell find . \( -name '*.go' -o -name '*.toml' \) -not -path './bin/*') go.mod go.sum
# Where goroutines are, what takes longest first; the rest is pure, and has nothing to race, or mostly waits for others.
RACE    := ./runner/exec ./crdt/store ./mesh/api ./mesh/daemon ./mesh/identity ./mesh/membership ./mesh/transport ./runner \
           $(addprefix ./runner/,archive cgroup files frames logs sandbox supervise/...) \
           ./health $(addprefix ./health/,dns inventory probe vitals) ./sim/lab/... ./cmd/mnlab
TEST    := $(TOOLS)/gotestsum --format pkgname
HASCC    = command -v $$(go env CC) >/dev/null
BEGAN   := $(shell date +%s)

.PHONY: help build demo test check lint race lab gpu fuzz fuzz-sim explore mutants bench golangci clean
.DELETE_ON_ERROR:

help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/make \1\t\2/p' Makefile | expand -t 16

build: bin/mn ## build bin/mn, one static binary

demo: bin/mn ## watch a mesh of three agents survive the loss of one (under a minute)
	@go run ./cmd/mndemo -mn bin/mn

test: lint race $(TOOLS) bin/mn bin/mnlab ## every test; as root, none skipped, and the lab (what CI runs)
	@# What is raced is not run again.
	@$(TEST) --jsonfile bin/test.json -- -count=1 -parallel 3 -timeout 5m \
		$$(if $(HASCC); then go list ./... | grep -vxF "$$(go list $(RACE))"; else go list ./...; fi)
	@test $$(id -u) -ne 0 || ! grep -hE '"Action":"skip".*"Test":' bin/*.json >&2
	go test -count=1 -tags mntestclock ./health/clock ./runner/supervise
	.ci/traces bin/mn
	bin/mn sim fuzz --for $(SIM)
	@if test $$(id -u) -eq 0; then bin/mnlab run --ci -mn bin/mn; \
		else echo "the lab was not run: its machines are network namespaces, which take root" >&2; fi
	@echo "all tests took $$(($$(date +%s) - $(BEGAN))) s"

check: lint ## the quick look before a commit: lint and all tests
	go test ./...

lint: $(TOOLS) ## format, vet, staticcheck, and the house rules of cmd/mntidy
	@unformatted=$$($(TOOLS)/gofumpt -l .) && test -z "$$unformatted" || \
		{ echo "not formatted, run $(TOOLS)/gofumpt -w on: $$unformatted" >&2; exit 1; }
	go vet ./... && go vet -tags mntestclock ./health/clock ./runner/supervise
	go vet -tags mntestgpu ./cmd/mn
	$(TOOLS)/staticcheck ./...
	go run ./cmd/mntidy

race: $(TOOLS) ## tests under the race detector, which needs a C compiler; without those of whole agents, which take minutes
	@rm -f bin/*.json
	@if $(HASCC); \
		then GORACE=atexit_sleep_ms=10 CGO_ENABLED=1 $(TEST) --jsonfile bin/race.json -- \
			-race -exec $(CURDIR)/.ci/raced -count=1 -p 4 -timeout 10m $(RACE); \
		else echo "no C compiler here: tests run without the race detector" >&2; fi

lab: bin/mn bin/mnlab ## harm real agents in every way of the catalogue, as root (a quarter of an hour)
	@bin/mnlab run --all -mn bin/mn

gpu: bin/mn ## tests that take a GPU of NVIDIA, which nobody else uses
	go test -count=1 -tags mntestgpu -run '^TestGPUs$$' ./cmd/mn

fuzz: ## fuzz every parser in turn, each for T=30s
	@.ci/fuzz $(T)

fuzz-sim: bin/mn ## simulate with seeds that nobody has tried, for MINUTES=10
	@bin/mn sim fuzz --for $(MINUTES)m

explore: ## every interleaving of small lease worlds, as deep as MINUTES=10 allow
	@go test -count=1 -timeout 0 -run '^TestExploration$$' -v ./placement/lease \
		-minutes $(MINUTES) -states 1000000000

mutants: ## break the code in each way of sim/mutants, and see the simulator find it (a quarter of an hour)
	@go build -o bin/mnmutants ./cmd/mnmutants && bin/mnmutants $(M)

bench: bin/mn bin/mnbench ## benchmarks, and how fast real agents are (about ten minutes)
	go test -run '^$$' -bench . -benchmem ./...
	@bin/mnbench -mn bin/mn

golangci: ## the wider set of linters, which takes minutes to build the first time
	go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0 run

clean: ## remove what was built
	rm -rf bin

bin/mn bin/mnbench bin/mnlab: bin/%: $(GO)
	go build $(FLAGS) -o $@ ./cmd/$*

$(TOOLS): .ci/tools/go.mod .ci/tools/go.sum
	cd .ci/tools && GOBIN=$(CURDIR)/$(TOOLS) go install tool
	@touch $@
