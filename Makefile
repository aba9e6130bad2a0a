# Every habit of this repository. `make` alone lists them.
#
# CARGO_FLAGS goes to cargo; ARGS to what a target runs, as in `make bench ARGS=--help`.

CARGO ?= cargo
CARGO_FLAGS ?= --locked
ARGS ?=
OUT ?= target/fairlead-image.tar
# As deploy/fairlead.yaml names it.
IMAGE := $(shell awk '$$1 == "image:" { print $$2; exit }' deploy/fairlead.yaml)

.DEFAULT_GOAL := help
.PHONY: help deps build test unit lint fmt image check-aarch64 bench test-cluster cluster-named bare-root

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

deps: ## Install what building and testing need (silent when it is there)
	@hack/install-deps.sh

build: deps ## Build every program for this machine
	$(CARGO) build $(CARGO_FLAGS) --workspace --bins

test: deps lint unit ## Lint, and run every test that needs no cluster (as root, for those in namespaces)

unit: build ## Run the tests alone; ARGS chooses, as in ARGS='-p fairlead-dns'
	$(CARGO) test $(CARGO_FLAGS) $(or $(ARGS),--workspace)

lint: deps ## Check formatting, clippy's advice and the invariants of ARCHITECTURE.md
	$(CARGO) fmt --all --check
	hack/check-invariants
	$(CARGO) clippy $(CARGO_FLAGS) --workspace --all-targets -- -D warnings

fmt: ## Format the Rust code
	$(CARGO) fmt --all

image: deps ## Write the image archive: target/fairlead-image.tar, or OUT=file
	$(CARGO) xtask image --out $(OUT) $(ARGS)

check-aarch64: deps ## Check that the workspace compiles for aarch64
	$(CARGO) xtask check-aarch64

bench: deps ## Measure against bare links, kernel routing and the peers found here (as root)
	$(CARGO) build $(CARGO_FLAGS) --release --workspace --bins
	$(CARGO) run $(CARGO_FLAGS) --release --package fairlead-bench -- $(ARGS)

test-cluster: cluster-named deps ## Run the scenarios on the real cluster that FAIRLEAD_CLUSTER names; ARGS chooses a topology
	$(CARGO) xtask image --out $(OUT) --tag $(IMAGE)
	FAIRLEAD_IMAGE=$(abspath $(OUT)) $(CARGO) test $(CARGO_FLAGS) --package fairlead-tests --test cluster -- --nocapture --test-threads=1 $(ARGS)

cluster-named:
	@test -n "$$FAIRLEAD_CLUSTER" || { echo "FAIRLEAD_CLUSTER is not set: no cluster, nothing is tested" >&2; exit 1; }

bare-root: ## Run `.ci/run` in a bare Debian: shows that `make deps` names everything (as root)
	hack/bare-root.sh $(ARGS)
