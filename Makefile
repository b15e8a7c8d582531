# Two commands do everything, set-up included: `make demo` and `make test`.
# On a machine whose python3 is older than 3.11: make PYTHON=/path/to/python3.12 demo

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest
# Test files at once: each in one of so many processes.
JOBS ?= 2
TESTS := $(PYTEST) -n $(JOBS) --dist loadfile --no-loadscope-reorder
READY := $(VENV)/.installed-rnlib
NOTEBOOKS := $(wildcard notebooks/*.ipynb)
# What the lock is made from. `===` keeps pip from taking a build with a local version
# (such as +cpu), whose operators torchvision's own wheel does not find.
TORCH := 2.13.0
TORCHVISION := 0.28.0

.DEFAULT_GOAL := help
.PHONY: help setup demo lab check test test-notebooks browser lint notebooks lock clean

help: ## list these targets
	@echo "usage: make TARGET   (every target sets up $(VENV) by itself)"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' Makefile

setup: $(READY) ## create .venv and install the locked packages and rnlib
	@echo "Ready: $(BIN)/python has rnlib and the locked packages."

demo: $(READY) ## the seven notebooks as they are: train, evaluate, explain (4 minutes on 2 cores)
	$(BIN)/python -m rnlib run demo
	@echo "Results: outputs/demo/ (open the .html files in a browser, or the notebooks with 'make lab')"

lab: $(READY) ## open JupyterLab on the project
	$(BIN)/jupyter lab $(LAB_FLAGS)

check: lint ## lint, type check and the fast tests
	$(TESTS) -m "not slow and not gpu" --durations=10

test: lint browser ## lint, type check, unit and browser tests, then the notebooks
	$(TESTS) --durations=30
	@if [ -n "$(NOTEBOOKS)" ]; then $(MAKE) --no-print-directory test-notebooks; fi

test-notebooks: $(READY) ## run the notebooks as they are and compare the cells tagged nbval-check-output
	RNLIB_OUTPUTS=$$(mktemp -d) $(PYTEST) --nbval-lax --nbval-current-env --nbval-cell-timeout=600 \
		--nbval-sanitize-with tests/nbval_sanitize.cfg notebooks

# What the browser test needs is no Python package. Where it is absent, the test is skipped and says so.
browser: ## Chromium and its driver for the browser test: install them where that may be done (root, apt-get), else say how
	@for name in chromium chromium-browser google-chrome; do \
		if command -v chromedriver >/dev/null && command -v $$name >/dev/null; then exit 0; fi; \
	done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing Chromium for the browser test"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
			chromium chromium-driver >/dev/null && exit 0; \
	fi; \
	echo "NO CHROMIUM: THE BROWSER TEST WILL BE SKIPPED. To install it:" >&2; \
	echo "    Debian:  sudo apt-get install chromium chromium-driver" >&2; \
	echo "    Ubuntu:  sudo apt-get install chromium-browser chromium-chromedriver" >&2; \
	echo "    others:  Chrome or Chromium, and the chromedriver of the same version, on the PATH" >&2

lint: $(READY) ## ruff (check and format, notebooks included) and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy rnlib

notebooks: $(READY) ## run the notebooks with their defaults and store the outputs in them
	$(BIN)/python -m rnlib notebooks --store

lock: $(READY) ## make requirements.lock anew from pyproject.toml
	$(BIN)/python -m pip install -qq uv
	@{ echo "# Every package of every supported platform, with its hashes. Made by: make lock"; \
	   printf 'torch===$(TORCH)\ntorchvision==$(TORCHVISION)\n' \
	   | $(BIN)/uv pip compile pyproject.toml --quiet --extra dev --universal --python-version 3.11 \
	     --constraint - --no-annotate --no-header --generate-hashes \
	   | sed 's/^torch==\([0-9]\)/torch===\1/'; } > requirements.lock.new
	@grep -q '^torch===' requirements.lock.new || { rm requirements.lock.new; echo "make lock: uv resolved nothing" >&2; exit 1; }
	mv requirements.lock.new requirements.lock
	@echo "Now bring environment.yml up to date: $(PYTEST) tests/test_packaging.py prints the lines it should have."

clean: ## remove .venv, caches and build files (outputs/ stays)
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find rnlib tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Set-up in three steps, each done again only when what it is made from has changed.
# The stamps are written last, so that an interrupted set-up goes on where it stopped.

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "make: expected Python >= 3.11 as '$(PYTHON)', found: $$($(PYTHON) --version 2>&1)." >&2; \
		echo "      Name a newer one: make PYTHON=/path/to/python3.12 setup" >&2; exit 1; }
	@echo "Creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/.installed-packages: requirements.lock | $(BIN)/python
	@echo "Installing the locked packages (a few minutes and 6 GB the first time)"
	@$(BIN)/python -m pip install -qq --require-hashes -r requirements.lock
	@touch $@

$(READY): pyproject.toml $(VENV)/.installed-packages
	@$(BIN)/python -m pip install -qq --no-deps --no-build-isolation -e .
	@touch $@
