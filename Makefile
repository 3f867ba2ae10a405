# Everything runs in the environment that start.py makes; `make setup` makes it.
BIN := .venv/bin

.PHONY: setup train test fast lint types layers site lock notebooks prove prove-crashes prove-faults prove-setup FORCE

setup:
	python3 start.py setup test

train:
	python3 start.py train

test:
	python3 start.py test

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types:
	$(BIN)/mypy

# A room imports only rooms below it.
layers:
	$(BIN)/lint-imports

# What can be tested within a minute: every room, without the tests that train, serve or synthesise for long.
fast:
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal -m "not slow and not integration"

# The pages of docs/ with the references of contract and Python, in output/site; a broken link is an error.
site:
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet docs output/site

# Keeps every pinned version that pyproject.toml still allows; to move to the newest ones, remove requirements*.lock first.
lock:
	$(BIN)/python -m pipelines.lock

# Sets clean clones up with every Python of this machine and prints what that took: docs/benchmarks/setup.md.
prove-setup: docs/benchmarks/setup.md

# Executes all notebooks and saves what they gave in place; `$(BIN)/python -m pipelines.notebooks FILE ...` does some.
notebooks:
	$(BIN)/python -m pipelines.notebooks

# Repeats the measurements in docs/benchmarks, a page each, on idle cores and on the pair of `make train`. One alone:
# make docs/benchmarks/inference.md. Not among them: peers, families, search (half an hour and more) and paper_scale (a GPU).
PROOFS := training expansion generation inference streaming validators validation mistakes serving hostile explorer power coverage rounding

prove: $(PROOFS:%=docs/benchmarks/%.md)

# Everything in one table, in half an hour, on the pair that comes with the package; the peers' packages are installed.
docs/benchmarks/everything.md: FORCE
	python3 start.py setup test benchmarks
	$(BIN)/python -m benchmarks > $@.partial
	mv $@.partial $@

docs/benchmarks/%.md: FORCE
	mkdir -p docs/benchmarks
	$(BIN)/python -m benchmarks.$* > $@.partial
	mv $@.partial $@

# Copies the registry's champion pair, of the contract of that name, to where it comes with the package.
models/%: FORCE
	$(BIN)/python -m pipelines.ship data_contracts/$*.yaml $@

FORCE:

# Puts faults into the shipped emulator, one at a time, and prints what refuses each: docs/benchmarks/faults.md.
prove-faults: docs/benchmarks/faults.md

# Promotions and rollbacks, judging and all, ended by 20 kill -9 at random moments and after each of their writes.
prove-crashes:
	folder=$$(mktemp -d) && $(BIN)/python tests/support/crash.py $$folder --kills 20 --judging yes
