# Two commands do everything: `make demo` and `make test`. Each makes the virtual environment it needs.
# On a machine with several Pythons: make demo PYTHON=python3.13

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.PHONY: demo test check static format docs pages oldest wheels bench clean

## demo: train a structured network by pseudoinverse, run the matrix experiment, write stridiag-report/
demo: $(VENV)/.demo
	$(BIN)/stridiag demo

## test: all tests and documented examples
test: $(VENV)/.test
	$(BIN)/python -m pytest -n 2 --dist worksteal

## check: everything that must hold before a change goes in
check: test static docs oldest

## static: format, lint, types, directions between the rooms
static: $(VENV)/.check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy tests/typing/user_code.py
	$(BIN)/basedpyright --level error --pythonpath $(BIN)/python tests/typing/user_code.py
	$(BIN)/lint-imports

## format: put the code into the house's form
format: $(VENV)/.check
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

## docs: the documentation, warnings as errors, and the tests of what builds it
docs: $(VENV)/.check
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html
	$(BIN)/python -m pytest -q tests/docs

## pages: the documentation's pages of measurements, made anew from the stored results
pages: $(VENV)/.check
	$(BIN)/python benchmarks/pages.py

## oldest: the tests against the oldest dependencies that pyproject.toml allows (on Python 3.11 or 3.12, which they support)
# SCIPY_ARRAY_API: without it that scikit-learn's checks cannot be imported beside an array API package.
oldest: $(VENV)-oldest/.test
	SCIPY_ARRAY_API=1 $(VENV)-oldest/bin/python -m pytest -n 2 --dist worksteal

$(VENV)-oldest/.test: pyproject.toml requirements/oldest.txt
	$(PYTHON) -m venv $(VENV)-oldest
	$(VENV)-oldest/bin/python -m pip install --quiet --disable-pip-version-check --constraint requirements/oldest.txt --editable '.[test]'
	@touch $@

## wheels: build the wheel and try it on each Python that is here, alone and with every extra: make wheels PYTHONS="python3.11 python3.12"
PYTHONS ?= python3.11 python3.12 python3.13 python3.14
wheels:
	.ci/wheels $(PYTHONS)

## bench: everything that has a target beside every rival, and docs/speed.md from it (a quarter of an hour or more)
bench: $(VENV)/.bench
	$(BIN)/python benchmarks/speed.py

clean:
	rm -rf $(VENV) $(VENV)-oldest build dist docs/_build docs/api/generated docs/gallery stridiag-report
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("stridiag needs Python 3.11 or newer, got " + sys.version if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.%: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@
