# Two commands for a newcomer: `make run` and `make test`. Two more for a contributor: `make check` and `make bench`.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: run test test-convert coverage replays nightly check bench bench-attacks bench-engine bench-telemetry clean
.DELETE_ON_ERROR:

# The tests have a worker for each core: further threads in NumPy would only wait for one another.
test check coverage replays nightly: export OMP_NUM_THREADS := 1
test check coverage replays nightly: export OPENBLAS_NUM_THREADS := 1

run: $(VENV)/.run  ## the loop, end to end, on real digits
	$(BIN)/threatmatrix replay microsoft-edge-ai

test: $(VENV)/.dev test-convert  ## every test
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m 'not nightly and not replays'

test-convert: $(VENV)/convert/.dev  ## the Sigma engine on pySigma 1.5, with the SIEM backends that need it
	$(VENV)/convert/bin/python -m pytest -q -m 'not nightly and not replays' tests/convert tests/detect/sigma

coverage: $(VENV)/.dev  ## every test again, and which lines none of them runs; half as slow again
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m 'not nightly and not replays' --cov --cov-report=term:skip-covered

replays: $(VENV)/.dev  ## every case study in full: does each attack beat chance, and what is seen of it
	$(BIN)/threatmatrix --home $(VENV)/replays replay --all
	$(BIN)/python -m pytest -m 'replays and not nightly'

nightly: $(VENV)/.dev  ## the tests that take minutes: a second seed of the replay, servers that are no dependency
	$(BIN)/python -m pytest -m nightly

check: $(VENV)/.dev  ## the whole gate but the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/docs

bench: $(VENV)/.dev  ## cost per event, each beside a named baseline in the same run
	$(BIN)/python -m benchmarks

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "threatmatrix needs Python 3.11 or newer; say which with: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "Python has no venv here; on Debian: apt-get install python3-venv" >&2; exit 2; }

$(VENV)/.run: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --constraint constraints.txt --editable '.[emulate]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --constraint constraints.txt --editable '.[dev]'
	@touch $@ $(VENV)/.run

# The backends of [convert] ask for pySigma 1.5, the core takes 2 as well: an environment of its own, and both are tested.
$(VENV)/convert/.dev: pyproject.toml constraints-convert.txt | $(BIN)/python
	@$(PYTHON) -m venv $(VENV)/convert
	$(VENV)/convert/bin/python -m pip --disable-pip-version-check --quiet install \
	  --constraint constraints-convert.txt --editable '.[convert,emulate]' pytest hypothesis google-re2
	@touch $@

bench-telemetry: $(VENV)/.dev  ## logs into the lake: rates, memory, and what 100 kills lose
	$(BIN)/python -m benchmarks telemetry watch

bench-engine: $(VENV)/.dev  ## rules over 5M events, correlations, micro-batches, each beside a named baseline
	$(BIN)/python -m pip --disable-pip-version-check --quiet install --constraint constraints.txt --editable '.[bench]' || true
	$(BIN)/python -m benchmarks engine engine_correlations

bench-attacks: $(VENV)/.dev  ## our attacks beside those of ART and foolbox: same samples, model and queries
	$(BIN)/python -m pip --disable-pip-version-check --quiet install --constraint constraints.txt --editable '.[crosscheck]' || true
	$(BIN)/python -m benchmarks attacks

clean:  ## the environment and what tools leave behind; never your data in .threatmatrix/
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage .coverage.* build dist
