# `make help` says what there is. Everything is safe to run again: it does only what is missing.
.DEFAULT_GOAL := help
.PHONY: fuzz-api help up down test test-kills test-durable test-warm test-checkpoints lint fuzz bench az dev sdk system system-tests lock

SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

up: ## from a fresh clone to a running virtual machine: packages, image, Skerry, a first guest
	@scripts/up

down: ## stop Skerry and its guests; disks and settings are kept
	@$(SUDO) env $${SKERRY_STATE:+SKERRY_STATE="$$SKERRY_STATE"} .venv/bin/skerry down

test: system-tests ## everything the tests need, then all of them, on all processors
	@$(MAKE) --no-print-directory -j dev az sdk
	@SKERRY_AZ=$(CURDIR)/.venv-az/bin/az SKERRY_SDK_PYTHON=$(CURDIR)/.venv-sdk/bin/python \
		.venv/bin/pytest -n auto --dist loadfile --no-loadscope-reorder

test-durable: dev ## every operation dying at every moment, on a fake host
	@SKERRY_DEATHS=0 SKERRY_SIGKILLS=20 SKERRY_EXAMPLES=2000 .venv/bin/pytest -n auto --timeout 7200 tests/engine

test-kills: dev ## what the usual tests have a sample of: Skerry killed at every moment, and many cycles
	@$(SUDO) .venv/bin/pytest tests/system -m kills

fuzz-api: dev ## 10,000 and more requests made from /openapi.json, every answer checked against it
	@FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-1} .venv/bin/pytest -s tests/api/test_fuzz.py

test-warm: system-tests dev ## VMs that continue from a template, on real guests
	@$(SUDO) .venv/bin/pytest tests/system/test_warm.py tests/system/test_standby.py -m warm --timeout 900

test-checkpoints: system-tests dev az sdk ## VMs that are kept, put back and forked, on real guests and by the real az
	@$(SUDO) .venv/bin/pytest tests/system -m checkpoints --timeout 1200

lint: dev ## formatting, linters, types
	@.venv/bin/ruff format --check src tests bench
	@.venv/bin/ruff check src tests bench
	@.venv/bin/mypy

fuzz: system ## FUZZ_SECONDS (60) of bad input for each reader of hostile bytes; TARGET=name for one
	@scripts/venv .venv-fuzz requirements-fuzz.lock --project
	@scripts/fuzz $(TARGET)

bench: system dev az ## the figures of docs/performance.md
	@SKERRY_AZ=$(CURDIR)/.venv-az/bin/az .venv/bin/python -m bench

az: system ## the Azure CLI, in .venv-az
	@scripts/venv .venv-az requirements-az.lock

dev: system ## Skerry with what its developers need, in .venv
	@scripts/venv .venv requirements-dev.lock --project

sdk: system ## the Azure SDKs that the tests call Skerry with, in .venv-sdk
	@scripts/venv .venv-sdk requirements-sdk.lock

lock: ## resolve the requirements*.lock files anew
	@scripts/lock

system:
	@scripts/system

system-tests:
	@scripts/system tests
