# Every target does its own set-up: Python 3.10 or newer and make are all it needs.
#
#   make demo    the XOR study at width 20: figures and report in demo/, its table on the screen
#   make test    all tests, doctests and README examples
#   make lint    ruff and mypy
#   make test-wheel      build the wheel, install it into an empty environment, run it there
#   make docs    the documentation in build/site; a warning is an error
#   make bench   the engine beside regioncam and one forward pass, and the cost of exactness (minutes)
#   make bench-quick     small networks (seconds)
#   make bench-polyhedral   more inputs than two, beside affinitree and relucent (many minutes)
#   make bench-scaling   growth with the domain, memory, workers, accelerator (many minutes)
#
# Another interpreter: make test PYTHON=python3.12.  One file: make test ARGS=tests/test_io.py

PYTHON ?= python3
ARGS ?=
WORKERS ?= auto
INTERPRETED ?= tests/test_engine_*.py tests/test_polyhedral_counts.py tests/test_polyhedral_oracle.py tests/test_io.py

BIN := .venv/bin
STAMP := .venv/.installed
BENCH_STAMP := .venv/.installed-bench
DOCS_STAMP := .venv/.installed-docs

.DEFAULT_GOAL := help
.PHONY: help install demo test test-interpreted test-wheel lint docs bench bench-quick bench-polyhedral bench-scaling figures clean

help:
	@sed -n '/^#   make/s/^#   //p' Makefile

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 10) else f"geomrelu needs Python 3.10 or newer, got {sys.version.split()[0]}; name another one: make PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[files,onnx,networkx,pandas,geo,distributed,mesh,movies,dev]'
	@touch $@

$(BENCH_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[bench]'
	@touch $@

$(DOCS_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[docs]'
	@touch $@

demo: $(STAMP)
	$(BIN)/geomrelu xor --width 20 --out demo

test: $(STAMP)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

# The same kernels, interpreted: what only the compiler lets pass (overflow, an index out of range) shows here.
test-interpreted: $(STAMP)
	NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(INTERPRETED) $(ARGS)

# From a folder where the sources cannot be found, so that only what is in the wheel counts.
test-wheel: $(STAMP)
	rm -rf build/wheel
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir build/wheel .
	$(BIN)/python tests/wheel_contents.py build/wheel/geomrelu-*.whl
	$(PYTHON) -m venv build/wheel/env
	build/wheel/env/bin/python -m pip install --quiet -c constraints.txt build/wheel/geomrelu-*.whl
	cd build/wheel && env/bin/geomrelu xor --width 2 --out study && test -s study/report.md && ls study

lint: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

docs: $(DOCS_STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	$(BIN)/python tests/site_fetches_nothing.py build/site

bench: $(BENCH_STAMP)
	$(BIN)/python benchmarks/engine.py $(ARGS)
	$(BIN)/python benchmarks/exactness.py

bench-quick: $(BENCH_STAMP)
	$(BIN)/python benchmarks/engine.py --quick $(ARGS)

bench-polyhedral: $(STAMP)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[bench-polyhedral]'
	$(BIN)/python benchmarks/polyhedral.py $(ARGS)

bench-scaling: $(STAMP)
	$(BIN)/python benchmarks/scaling.py
	$(BIN)/python benchmarks/questions.py
	$(BIN)/python benchmarks/accelerator.py

figures: $(STAMP)
	$(BIN)/python examples/readme_figure.py
	$(BIN)/python examples/definitions.py
	$(BIN)/python examples/exact_and_sampled.py
	$(BIN)/python examples/segment_digits.py docs/pictures/segment_digits.png
	$(BIN)/python examples/digits_plane.py
	$(BIN)/python examples/three_inputs.py
	$(BIN)/python examples/level_set_torus.py --out docs/pictures/level_set_torus.png
	$(BIN)/python examples/acas_xu.py

clean:
	rm -rf .venv demo build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find geomrelu tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +
