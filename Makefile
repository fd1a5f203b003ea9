# `make demo` and `make test` set up everything they need: a virtual environment of the project's own, no sudo.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
NODE_STAMP := tests/node/node_modules/.package-lock.json
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet install --no-deps

# Where Python is told to keep no bytecode, as in many containers, each process that a test starts compiles all of it anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-live lint types imports unit bench bench-turns lock clean

help:  ## these lines
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

# The locks are complete, so nothing is left to resolve: a newer release of something must not change what is installed.
setup: $(STAMP)  ## the virtual environment .venv, with all that the demo and the tests need

$(STAMP): pyproject.toml locks/requirements.lock locks/pico.lock
	@echo "Setting up $(VENV) (once) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Trunkline needs Python 3.11 or newer; run make with PYTHON=python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) --require-hashes -r locks/requirements.lock
	@$(PIP) --require-hashes -r locks/pico.lock || \
		echo "The Pico voice could not be built (it needs a C compiler); espeak-ng speaks instead."
	@$(PIP) --no-build-isolation --editable .
	@touch $@

# The validators that Jambonz publishes, as judges of what we send: tests only, and skipped where there is no Node.js.
$(NODE_STAMP): tests/node/package-lock.json
	@if command -v npm >/dev/null; then cd tests/node && npm ci --silent --no-audit --no-fund; \
	else echo "No npm here: the tests that ask Jambonz's own validators will be skipped."; fi

demo: setup  ## one real call, offline: talk, interruption, goodbye (ARGS=--once exits after it)
	@$(BIN)/trunkline demo $(ARGS)

test: setup $(NODE_STAMP) lint types imports unit  ## everything that has to pass

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy --num-workers 2

imports: setup
	$(BIN)/lint-imports

# Four at a time on two cores: many tests hold calls in real time, and wait.
unit: setup $(NODE_STAMP)
	$(BIN)/pytest --numprocesses 4 --dist worksteal $(ARGS)

test-live: setup  ## the same short conversation with each service that the environment has a key for
	@$(BIN)/python -m tests.live $(ARGS)

bench: setup  ## the audio path against a bare echo server, in one run (ARGS=--realtime: against a bare relay)
	@$(BIN)/python -m tests.bench $(ARGS)

bench-turns: setup  ## turn-taking on telephone audio, against webrtcvad and Silero alone
	@OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.turnbench $(ARGS)

lock:  ## resolve the dependencies anew (needs uv)
	uv pip compile pyproject.toml --extra offline --extra openai --extra google --extra postgres --extra s3 --group dev \
		--generate-hashes --universal --python-version 3.11 --no-header --no-annotate --output-file locks/requirements.lock
	uv pip compile pyproject.toml --extra offline --extra openai --extra google --extra postgres --extra s3 --constraint locks/requirements.lock \
		--generate-hashes --universal --python-version 3.11 --no-header --no-annotate --output-file locks/runtime.lock
	uv pip compile pyproject.toml --extra pico --generate-hashes --universal --python-version 3.11 \
		--no-header --no-annotate --quiet | sed -n '/^ttspico/,/^[a-z]/{/^ttspico/p;/^ /p}' > locks/pico.lock

clean:  ## remove what the targets above made
	rm -rf $(VENV) tests/node/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
