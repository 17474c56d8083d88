# One command for each thing one wants to do; `make` alone lists them. Needs Python ≥ 3.11 and make, nothing else.

PYTHON ?= python3
VENV ?= .venv
PYTEST_ARGS ?= -n 2 --dist loadscope
BENCH_ARGS ?=

export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
.PHONY: help run test lab bench check clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/installed  ## start a throw-away mail host under ./var/demo and say how to use it
	$(VENV)/bin/mailstack demo

test: $(VENV)/installed-test  ## the whole test suite; what needs a missing Debian package is skipped and says which
	$(VENV)/bin/python -m pytest $(PYTEST_ARGS)

lab: $(VENV)/installed-test  ## install the real peers (Debian packages, as root), then the whole test suite
	tests/lab/install_packages
	$(VENV)/bin/python -m pytest $(PYTEST_ARGS)

bench: $(VENV)/installed-test  ## Mailstack, Postfix and Dovecot side by side, as ratios
	$(VENV)/bin/python -m benchmarks $(BENCH_ARGS)

check: $(VENV)/installed-test  ## lint, format, types, and the order of the packages
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

clean:  ## remove what the commands above made
	rm -rf $(VENV) var dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# The stamp files make a second call instant; a change of the dependencies installs anew.
$(VENV)/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Mailstack needs Python 3.11 or newer; say make PYTHON=python3.x")'
	test -x $(VENV)/bin/pip || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --editable .
	@touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(VENV)/bin/pip install --quiet --editable '.[test]'
	@touch $@
