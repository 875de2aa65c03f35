# Two commands do everything: `make demo` and `make test`. Each makes the virtual environment it needs.
# On a machine with several Pythons: make demo PYTHON=python3.13

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.PHONY: demo test check static format docs bench clean

## demo: train a structured network by pseudoinverse, run the matrix experiment, write stridiag-report/
demo: $(VENV)/.demo
	$(BIN)/stridiag demo

## test: all tests and documented examples
test: $(VENV)/.test
	$(BIN)/python -m pytest -n 2

## check: everything that must hold before a change goes in
check: static docs test

## static: format, lint, types, directions between the rooms
static: $(VENV)/.check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

## format: put the code into the house's form
format: $(VENV)/.check
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

## docs: the documentation, warnings as errors
docs: $(VENV)/.check
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html

## bench: everything that has a target beside every rival, and docs/speed.md from it (a quarter of an hour or more)
bench: $(VENV)/.bench
	$(BIN)/python benchmarks/speed.py

clean:
	rm -rf $(VENV) build dist docs/_build docs/api/generated stridiag-report
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("stridiag needs Python 3.11 or newer, got " + sys.version if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.%: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@
