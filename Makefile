# Everything a person or CI does with this checkout. `make` alone lists it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run demo dev test test-cgroup2 stages soak check lint types unit real rules bench fresh lock clean root system components

PYTHON ?= python3
VENV ?= .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check -q
STAGE := scripts/stage.sh
MAKEFLAGS += --no-print-directory

# How long the tests over real components take their time: "ci" is minutes, "full" is the soak.
export SIZE ?= ci

help:           ## this list
	@sed -nE 's/^([a-z0-9-]+):[^#]*## (.*)/make \1\t\2/p' Makefile | expand -t 20

run: $(VENV)/.runtime  ## both processes on this machine, for any user; Ctrl-C ends them
	@exec $(PY) -m vakhta.stack

demo:           ## a shop that gets sick, and what its on-call person reads; two minutes, as root
	@if [[ $$EUID != 0 ]]; then \
	  echo 'make demo needs root: it starts its own Docker daemon. Run: sudo make demo' >&2; exit 1; \
	fi
	@trap scripts/give_back.sh EXIT; $(MAKE) system dev; $(PY) -m demo

dev: $(VENV)/.dev      ## the virtual environment with all tools
	@:

test: root      ## everything, against real components; as root
	@trap scripts/give_back.sh EXIT; $(MAKE) stages

test-cgroup2: root $(VENV)/.dev  ## the exporter on a host with cgroup v2 and systemd, a virtual machine; as root
	@$(PY) -m pytest tests/real/test_cgroup2.py

stages:
	@$(STAGE) 'system packages' $(MAKE) system
	@$(STAGE) 'virtual environment' $(MAKE) dev
	@$(STAGE) 'real components' $(MAKE) components
	@$(STAGE) 'ruff, mypy' $(MAKE) lint types
	@$(STAGE) 'unit tests' $(MAKE) unit
	@$(STAGE) 'tests against real components' $(MAKE) real
	@$(STAGE) 'promtool over rules/' $(MAKE) rules

soak: root      ## make test with many more examples, then the numbers in bench/
	@$(MAKE) test SIZE=full
	@$(STAGE) 'benchmarks' $(MAKE) bench

check: lint types unit ## what needs neither root nor real components

lint: $(VENV)/.dev
	@$(PY) -m ruff check
	@$(PY) -m ruff format --check

types: $(VENV)/.dev
	@$(PY) -m mypy

unit: $(VENV)/.dev
	@$(PY) -m pytest tests --ignore=tests/real --numprocesses auto --dist worksteal

real: root $(VENV)/.dev
	@scripts/lanes.sh $(PY)

rules: $(VENV)/.dev
	@scripts/promtool.sh $(PY)

bench: $(VENV)/.dev    ## the numbers in bench/
	@$(PY) -m bench

fresh: root     ## the promises of run and test on a Debian 12 made for it
	@tests/fresh/run.sh

lock: $(VENV)/.dev     ## the lock files, from pyproject.toml
	@scripts/lock.sh $(PY)

clean:          ## the virtual environment and the caches in the checkout; fetched components stay
	@rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

root:
	@if [[ $$EUID != 0 ]]; then \
	  echo 'make test needs root: it starts its own Docker daemon. Run: sudo make test' >&2; exit 1; \
	fi

system:
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || scripts/apt.sh python3 python3-venv

components: $(VENV)/.dev
	@$(PY) -m tests.real.components > /dev/null

$(PY):
	@scripts/venv.sh $(PYTHON) $(VENV)

# A stamp is as new as the last installation; with fresh stamps pip is not called at all.
$(VENV)/.runtime: $(PY) requirements.lock pyproject.toml
	@echo 'Installing what requirements.lock names into $(VENV) (once)' >&2
	@$(PIP) install --require-hashes --only-binary=:all: -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: $(PY) requirements-dev.lock pyproject.toml
	@echo 'Installing what requirements-dev.lock names into $(VENV) (once)' >&2
	@$(PIP) install --require-hashes --only-binary=:all: -r requirements-dev.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/.runtime
