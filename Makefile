# make train ARGS="algo=ddqn seed=[1,2]"   make plot ARGS="outputs/RUN"   make test   make lint
PYTHON ?= python3
PYTEST_ARGS ?=
SHARED := -n 2 --dist worksteal
BIN := .venv/bin
READY := .venv/.ready

.PHONY: train plot play test test-slow test-gpu check golden bench reproduction study images lint clean

train plot play: $(READY)
	@$(BIN)/dqn-$@ $(ARGS)

# Tests are shared out to two processes; each begins with one half, and takes from the other's end.
test: $(READY)
	$(BIN)/pytest $(SHARED) $(PYTEST_ARGS)

# What to run before a commit, three minutes: without the long tests.
check: lint
	$(BIN)/pytest $(SHARED) -m "not slow and not long and not gpu" $(PYTEST_ARGS)

test-slow: $(READY)
	$(BIN)/pytest -m slow $(PYTEST_ARGS)

# On a machine with an NVIDIA GPU, and with a PyTorch for it.
test-gpu: $(READY)
	$(BIN)/pytest -m gpu $(PYTEST_ARGS)

# The score files that the tests compare bytes with: after a change that is meant to move them.
golden: $(READY)
	$(BIN)/python tests/test_golden.py

# make reproduction ARGS="train berta/dqn"   make reproduction ARGS=report
reproduction: $(READY)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m benchmarks.reproduction $(ARGS)

# make study ARGS="train cartpole"   make study ARGS="report cartpole"
study: $(READY)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m benchmarks.study $(ARGS)

# The pictures of README.md and docs/, from real runs: make images ARGS=terminal   or: figures
images: $(READY)
	$(BIN)/python -m benchmarks.images $(ARGS)

bench: $(READY)
	$(BIN)/pip install --quiet -c constraints.txt -e '.[bench]'
	$(BIN)/python -m benchmarks $(ARGS)

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist

# Made once, and again when a dependency changes; also completes a .venv made by hand.
$(READY): pyproject.toml constraints.txt
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@
