# The only entry. `make help` lists what there is.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

.PHONY: help
help: ## Say what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 14

.PHONY: test
test: ## Run every test
	cargo test --workspace --locked

.PHONY: lint
lint: ## Formatting and lints, warnings denied
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

.PHONY: generate
generate: ## Write what is generated: CRDs
	GENERATE=1 cargo test --locked --test generated

.PHONY: ci
ci: lint test ## What has to pass before a change lands

.PHONY: clean
clean: ## Remove what was built here
	cargo clean
