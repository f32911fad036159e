# Everything that a person runs here. Each target does its own set-up.
SHELL := /bin/bash
.DEFAULT_GOAL := help
CARGO ?= cargo
export PATH := $(CURDIR)/target/tools/bin:$(PATH)

.PHONY: help setup demo test test-kafka conformance lint fmt deny bench

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

setup: ## Libraries and tools that building and testing need (idempotent)
	@scripts/setup

demo: setup ## Everything in one process: events in, credentials proven dead, a table at the end
	$(CARGO) build --release --locked --package severance
	./target/release/severance demo $(DEMO)

test: setup ## All tests: properties, simulation, scenarios, crashes
	@scripts/setup nextest postgresql
	$(CARGO) build --locked --package severance
	$(CARGO) nextest run --workspace --locked --no-fail-fast

test-kafka: setup ## The Kafka tests against a broker of yours: SEVERANCE_TEST_KAFKA=host:port make test-kafka
	@scripts/setup nextest
	$(CARGO) nextest run --locked --package severance-kafka
	$(CARGO) nextest run --locked --package severance-tests --test kafka

conformance: setup ## The sandbox's AWS against another emulator, line by line
	@scripts/setup venv
	tests/conformance.sh

lint: setup ## Formatting and clippy, warnings are errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- --deny warnings

fmt: ## Format
	$(CARGO) fmt --all

deny: ## Licences, sources and advisories of all dependencies
	@scripts/setup deny
	$(CARGO) deny check licenses bans sources
	@# Needs the RustSec database, which cargo-deny fetches from GitHub.
	$(CARGO) deny check advisories

bench: setup ## The benchmarks of docs/PERFORMANCE.md
	scripts/bench
