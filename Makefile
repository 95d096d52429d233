# `make run` and `make test` need Python 3.11 or newer and nothing else; both set up .venv first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test lint corpus bench clean

run: $(VENV)/.installed
	$(BIN)/swarmc run corpus/mandelbrot.wasm --agents 1024 -- '{id}'

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest -n auto

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/mypy

corpus: $(VENV)/.installed-test
	$(BIN)/python -m swarmc.runtime.tools.corpus build

bench: $(VENV)/.installed-test
	$(BIN)/swarmc bench --docs docs/performance.md

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps are older than pyproject.toml when what it asks for may have changed.
$(VENV)/.installed: pyproject.toml | $(BIN)/python
	@echo "installing swarmc into $(VENV)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.installed-test: pyproject.toml | $(BIN)/python
	@echo "installing swarmc and what its tests need into $(VENV)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch $@ $(VENV)/.installed

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "swarmc needs Python 3.11 or newer; say which with: make PYTHON=python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
