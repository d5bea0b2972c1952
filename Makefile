# NEOPRO Fleet. `make` lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= 2
SEED ?= 1
INPUTS ?= 1000000
# Tests also wait, for processes and for other ends: one worker more than there are jobs keeps the cores busy. A file
# stays with one worker (its tests may share a server or a demo), and long ones come first (tests/conftest.py).
PARALLEL := -n $(shell expr $(JOBS) + 1) --dist loadfile --no-loadscope-reorder

help: ## list the targets
	@grep -hE '^[a-z-]+:.*?## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

$(VENV)/.demo: requirements/demo.txt requirements/outlines/package-lock.json pyproject.toml
	@PYTHON=$(PYTHON) requirements/setup demo
	@touch $@

$(VENV)/.dev: requirements/dev.txt requirements/outlines/package-lock.json pyproject.toml
	@PYTHON=$(PYTHON) requirements/setup dev
	@touch $@ $(VENV)/.demo

# Fetched for the tests in a browser alone, by the integrity that the lock file names.
AXE := tests/browser/node_modules/axe-core/axe.min.js

$(VENV)/.browser: requirements/browser.txt requirements/outlines/package-lock.json pyproject.toml
	@PYTHON=$(PYTHON) requirements/setup browser
	@touch $@ $(VENV)/.demo $(VENV)/.dev

$(AXE): tests/browser/package-lock.json
	@if command -v npm >/dev/null; then npm ci --prefix tests/browser --ignore-scripts --no-audit --no-fund --silent && touch $@; \
	else echo "npm is missing (Debian: apt install npm): what axe-core would look at is skipped"; fi

demo: $(VENV)/.demo ## set up, start the control plane and six boxes on embedded defaults
	@exec $(BIN)/neopro demo

demo-clean: ## stop and forget the demo
	@[ ! -x $(BIN)/neopro ] || $(BIN)/neopro demo --clean

test: $(VENV)/.dev ## set up and pass the tests
	@$(BIN)/pytest $(PARALLEL)

test-long: $(VENV)/.dev ## everything: the whole crash matrix, every PostgreSQL on every test (needs strace)
	@$(BIN)/pytest $(PARALLEL) --long

check: $(VENV)/.dev ## lint, types, who may import whom
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports --no-cache

format: $(VENV)/.dev ## format the code
	@$(BIN)/ruff check --fix -q . ; $(BIN)/ruff format .

schema: $(VENV)/.dev ## write schemas/jsonschema/ anew
	@$(BIN)/python -m cli.schemas

docs: $(VENV)/.dev ## write the generated pages of docs/ anew
	@$(BIN)/python -m cli.docs

bench: $(VENV)/.dev ## measure beside floors and peers; writes bench.json
	@$(BIN)/python -m tests.benchmarks

fuzz: $(VENV)/.dev ## a million hostile inputs, none may crash or hang (SEED=1 INPUTS=1000000)
	@$(BIN)/python -m tests.fuzz --seed $(SEED) --inputs $(INPUTS) --workers $(JOBS)

test-crash: $(VENV)/.dev ## kill the agent, cut its power, fail its disk at every mutating system call (root for real disks; needs strace)
	@$(BIN)/pytest -q tests/crash/test_no_call_bypasses.py && $(BIN)/python -m tests.crash --jobs $(JOBS)

test-faults: $(VENV)/.dev ## everything else that may go wrong: the network at every request, services, clocks, processes, writers
	@$(BIN)/pytest tests/faults --long

test-soak: $(VENV)/.dev ## weeks of an agent and months of a control plane, counted: nothing grows (some twenty minutes)
	@$(BIN)/python -m tests.soak --jobs $(JOBS)

test-systemd: $(VENV)/.dev ## the agent's unit under a real systemd (root; says what is missing where it cannot)
	@$(BIN)/pytest tests/systemd --long -rs

test-browser: $(VENV)/.browser $(AXE) ## the pages in a real Chromium, with axe-core (says what is missing where it cannot)
	@$(BIN)/pytest tests/browser --long -rs

screenshots: $(VENV)/.browser ## the pages of a believable fleet into docs/images/ (needs Chromium)
	@$(BIN)/python -m tests.browser

test-api: $(VENV)/.dev ## the API held to its own description by tens of thousands of requests (some minutes)
	@$(BIN)/pytest tests/contract/test_api_as_described.py --long -s -n $(JOBS)

agent-bundle: $(VENV)/.dev ## the agent's release as one file, to install from without a network and for `neopro release add --agent`
	@$(BIN)/python -m cli.agent_bundle

lock: ## compile the requirement files anew (needs uv)
	@uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header pyproject.toml --extra agent -o requirements/agent.txt
	@uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header pyproject.toml requirements/build.in --extra demo -o requirements/demo.txt
	@uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header pyproject.toml requirements/build.in --extra demo --group dev -o requirements/dev.txt
	@uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header pyproject.toml requirements/build.in --extra demo --group browser -c requirements/dev.txt -o requirements/browser.txt

clean: ## remove the environment and what was built
	@rm -rf $(VENV) build *.egg-info bench.json

.PHONY: help demo demo-clean test test-long check format schema docs bench fuzz test-crash test-soak test-systemd test-browser screenshots test-api agent-bundle lock clean
