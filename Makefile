# Every target creates what it needs; nothing but Python 3.11+ and make is assumed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# One thread for each worker: several that wait for each other take three times as long.
# One worker for each file (loadfile): fixtures of a module are created once.
# Three workers on two cores: one waits for a disk or a child process now and then.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist loadfile

# Minutes of training of the paper preset in each call of `make gpu`.
GPU_MINUTES ?= 30

.PHONY: install demo test test-all lint docs gpu clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

demo: $(STAMP)
	$(BIN)/harmbench run --cohort phantom:16 -t domain3 -m identity -m rescan \
		-m histogram -m mean-ratio -m blindharmony -m blindcurve
	$(BIN)/harmbench leaderboard

test: $(STAMP)
	$(PYTEST) -m "not slow"

test-all: $(STAMP)
	$(PYTEST)

lint: $(STAMP) docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

gpu: $(STAMP)
	cd benchmarks && ../$(BIN)/python -m gpu.run_parts --folder ../gpu-results --minutes $(GPU_MINUTES) \
		--page ../docs/gpu.md

docs: $(STAMP)
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html

clean:
	rm -rf $(VENV) build docs/_build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
