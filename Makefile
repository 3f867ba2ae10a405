# Everything runs in the environment that start.py makes; `make setup` makes it.
BIN := .venv/bin

.PHONY: setup train test lint types lock prove

setup:
	python3 start.py setup

train:
	python3 start.py train

test:
	python3 start.py test

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types:
	$(BIN)/mypy

# Keeps every pinned version that pyproject.toml still allows; to move to the newest ones, empty requirements.lock first.
# conda.yaml repeats the pins of the direct dependencies: tests/test_setup.py tells which lines to change.
lock:
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --custom-compile-command "make lock" --group dev pyproject.toml --output-file requirements.lock

# Repeats every measurement of docs/benchmarks.md (about 40 minutes on two idle cores), on the emulator of `make train`.
prove:
	mkdir -p docs
	for name in training expansion inference streaming validators; do \
	    $(BIN)/python -m benchmarks.$$name | tee output/$$name.md || exit 1; done
	(echo '# Benchmarks'; echo; echo 'Repeat them with `make train prove`.'; \
	 for name in training expansion inference streaming validators; do echo; cat output/$$name.md; done) > docs/benchmarks.md
