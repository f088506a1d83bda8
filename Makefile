# make demo        the weekly churn example, end to end (Python 3.11, pip, make and git are all it needs)
# make example-tickets     documents to queues: quality, speed and a label map that stays
# make example-assistant   questions to documentation: a bundle of six parts, released as one
# make example-serving     the churn model behind an endpoint: canary, rollback
# make test        all tiers: unit, integration (real server, PostgreSQL), heavy
# make unit        the unit tests alone
# make soak        the laws of the unit tests and the guard's races, tried far longer
# make lint        ruff, mypy strict, import-linter
# make bench NAME=churn_story
# make docs        run the examples of README and docs
# make lock        pin the dependencies anew

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true
# Threads that spin while they wait take the cores from the process that works.
export OMP_WAIT_POLICY := passive

.DEFAULT_GOAL := help
.PHONY: help demo example-tickets example-assistant example-serving test unit integration heavy soak lint bench docs lock clean

help:
	@sed -n 's/^# \(make.*\)/  \1/p' Makefile

# Two stamps: what runs Signoff, and what develops it. Each is made anew when its lock file changes.
$(VENV)/run.stamp: requirements/run.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null \
	  || { echo "make: Python 3.11 is needed as '$(PYTHON)'; name yours with: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 2; }
	@test -x $(BIN)/python || { echo "== making $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "== installing what Signoff needs, pinned with hashes (about a minute)"
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/run.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp requirements/dev.lock
	@echo "== installing what developing Signoff needs, pinned with hashes"
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.lock
	@touch $@

$(VENV)/assistant.stamp: $(VENV)/run.stamp requirements/assistant.lock
	@echo "== installing what the assistant needs, pinned with hashes"
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/assistant.lock
	@touch $@

demo: $(VENV)/run.stamp
	@$(BIN)/python -m examples.churn.demo $(ARGS)

example-tickets example-serving: $(VENV)/run.stamp
	@$(BIN)/python -m examples.$(@:example-%=%).demo $(ARGS)

example-assistant: $(VENV)/assistant.stamp
	@$(BIN)/python -m examples.assistant.demo $(ARGS)

test: $(VENV)/dev.stamp
	@$(BIN)/python tests/tiers.py unit integration heavy

unit integration heavy: $(VENV)/dev.stamp
	@$(BIN)/python tests/tiers.py $@

soak: $(VENV)/dev.stamp
	@SIGNOFF_TEST_PROFILE=soak $(BIN)/python -m pytest -q -n 2 --timeout 3600 tests/unit
	@SIGNOFF_TEST_PROFILE=soak $(BIN)/python -m pytest -q tests/heavy/test_guard_races.py

lint: $(VENV)/dev.stamp
	@echo "== ruff"; $(BIN)/ruff check . && $(BIN)/ruff format --check --quiet .
	@echo "== mypy"; $(BIN)/mypy
	@echo "== import-linter"; $(BIN)/lint-imports --no-cache

bench: $(VENV)/$(if $(filter assistant,$(NAME)),assistant,$(if $(filter guard,$(NAME)),dev,run)).stamp
	@test -n "$(NAME)" || { echo "make bench NAME=…: one of" $(basename $(notdir $(wildcard benchmarks/*.py))); exit 2; }
	@$(BIN)/python benchmarks/$(NAME).py $(ARGS)

docs: $(VENV)/dev.stamp
	@$(BIN)/python -m pytest -q tests/integration/test_docs.py

# Lock files carry hashes and no index address, so they install from any registry.
lock:
	@$(PYTHON) -m venv .cache/lock && .cache/lock/bin/pip install --quiet uv
	.cache/lock/bin/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
	  pyproject.toml --group build -o requirements/run.lock
	.cache/lock/bin/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
	  pyproject.toml --group build --extra assistant -c requirements/run.lock -o requirements/assistant.lock
	.cache/lock/bin/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
	  pyproject.toml --group build --extra assistant --group dev -c requirements/run.lock -o requirements/dev.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
