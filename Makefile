# One line a task; each sets itself up. `make demo` and `make test` are all that a fresh machine needs.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: demo test interop hostile ops clients chaos fuzz check fix bench process proto clean

demo: $(READY)  ## three nodes sync a generated chain from each other
	$(BIN)/hera demo $(DEMO)

test: $(READY)  ## every test; those that need recorded blocks are skipped where these are not
	$(BIN)/python -m pytest -n 2 --dist loadfile $(TESTS)

hostile: $(READY)  ## one real node beside peers that lie, flood, drip and vanish: under five minutes
	$(BIN)/python -m pytest tests/hostile

chaos: $(READY)  ## a hundred kills, fifty of commit inside its writes, full disks: four minutes; HERA_CHAOS_SEED=N repeats a run
	$(BIN)/python -m pytest -s tests/chaos

interop: $(READY)  ## nodes beside js-libp2p peers, hashes beside starknet.js; where no Node.js is, it is installed
	@$(BIN)/python -m tests.interop.javascript
	$(BIN)/python -m pytest tests/interop

ops: $(READY)  ## a real Prometheus and a real Chromium beside syncing nodes; pictures in tests/ops/screenshots; two minutes
	$(BIN)/pip install -q -e '.[test,ops]'
	@$(BIN)/python -m tests.ops.prometheus
	@$(BIN)/python -m tests.ops.chromium
	$(BIN)/python -m pytest tests/ops

clients: $(READY)  ## starknet.js and starknet-py beside real nodes, and whatever may be asked; HERA_FUZZ_SECONDS (30) of it
	@$(BIN)/python -m tests.interop.javascript
	@$(BIN)/python -m tests.clients.python
	$(BIN)/python -m pytest -s tests/clients

fuzz: $(READY)  ## every decoder of remote bytes under atheris, HERA_FUZZ_SECONDS (60) each; TARGETS="name name" takes some
	$(BIN)/pip install -q -e '.[test,fuzz]'
	nice -n 19 $(BIN)/python -W ignore -m tests.fuzz $(TARGETS)

check: $(READY)  ## format, lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: $(READY)  ## format and mend what can be mended by itself
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)  ## all figures in one table, and whether each is reached; minutes, run nothing beside it
	$(BIN)/pip install -q -e '.[test,bench]'
	$(BIN)/python -m benchmarks

process: $(READY)  ## only the tests that start whole nodes
	$(BIN)/python -m pytest tests/process

proto: $(READY)  ## regenerate the wire messages
	$(BIN)/pip install -q -e '.[dev]'
	$(BIN)/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. starknet/wire/sync.proto

clean:
	rm -rf $(VENV) tests/interop/node_modules tests/clients/.venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache

$(READY): setup.cfg setup.py pyproject.toml $(wildcard starknet/native/*.[ch])
	@$(PYTHON) -c 'import sys; sys.exit("Hera needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Set PYTHON=python3.11") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -e '.[test]'
	touch $@
