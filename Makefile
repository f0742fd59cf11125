# Everything happens in .venv, made from requirements.lock; needs Python 3.11 and nothing else installed.
SHELL := /bin/sh
PYTHON ?= $(firstword $(shell command -v python3.11 2>/dev/null) $(shell command -v python3 2>/dev/null))
BIN := .venv/bin
READY := .venv/.ready
FAULTS ?= 100
SEED ?=
BENCHES := $(filter-out bench/_%,$(sort $(wildcard bench/*.py)))

.PHONY: help setup demo test lint bench fuzz soak lock

help:
	@echo "make demo   real servers, all workers, blocks through them, and what came out (no Docker)"
	@echo "make test   linters, types, all tests against real servers"
	@echo "make lint   linters and types alone"
	@echo "make bench  every figure of the documentation, measured here"
	@echo "make fuzz   10,000 spoiled messages to each topic, and what became of each (some minutes)"
	@echo "make soak   faults by the dozen into a running pipeline; is anything lost or doubled?"
	@echo "make lock   resolve requirements.lock anew (needs uv)"

setup: $(READY)

# pip checks every file against the lock's hashes; the product itself is built with what that installs.
$(READY): requirements.lock pyproject.toml
	@"$(PYTHON)" -c 'import sys; sys.exit(None if sys.version_info[:2] == (3, 11) else "Python 3.11 is needed, found " + sys.version.split()[0] + ": make PYTHON=/path/to/python3.11")'
	@test -x $(BIN)/python || "$(PYTHON)" -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup
	$(BIN)/sigstream demo

test: lint
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=25

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: setup
	@set -e; for script in $(BENCHES); do echo "== $$script"; $(BIN)/python "$$script"; done

fuzz: setup
	SIGSTREAM_FUZZ_MESSAGES=10000 $(BIN)/pytest -s tests/chaos/test_fuzz.py

soak: setup
	$(BIN)/python -m tests.chaos.soak --faults $(FAULTS) $(if $(SEED),--seed $(SEED)) --report docs/reliability.md

lock:
	uv pip compile --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header \
		--all-extras --python-version 3.11 pyproject.toml -o requirements.lock
