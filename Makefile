# `make` lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/sh

LOCKSTEP := cargo run --quiet --bin lockstep --

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z][a-z]*\):.*## \(.*\)/  make \1	\2/p' Makefile

.PHONY: demo
demo: ## everything in one process, on a sandbox of Microsoft Graph (more: make demo ARGS=--help)
	@cargo build --bin lockstep
	@$(LOCKSTEP) demo $(ARGS)

.PHONY: build
build: ## the lockstep binary, in target/debug
	cargo build

# All targets at once: with the tests selected too, Cargo compiles every dependency only once.
.PHONY: test
test: ## all tests, on real servers (installs PostgreSQL, PgBouncer and Redis where it may)
	scripts/servers.sh
	cargo build --workspace --all-targets
	cargo test --workspace

.PHONY: lint
lint: ## format and lints, warnings are errors
	cargo fmt --check
	cargo clippy --workspace --all-targets -- -D warnings

# Through a second file: a build that fails must not empty the first.
.PHONY: schema
schema: ## write schema.graphql anew from the code
	@$(LOCKSTEP) schema > schema.graphql.new
	@mv schema.graphql.new schema.graphql

.PHONY: check
check: lint test schema ## what must pass before a change is shared
	@git diff --exit-code -- schema.graphql \
		|| { echo 'schema.graphql was out of date: stage the new one' >&2; exit 1; }
