# Every target sets up what it needs first; a set-up that is done takes no time.
#   make PYTHON=python3.12 demo    uses another interpreter
#   make demo ARGS='--help'        hands arguments on; also for test, bench

PYTHON ?= python3
ARGS ?=
BIN := .venv/bin

# No ROS 2 traffic leaves this machine unless the caller says so. Humble only knows the older
# variable; later distributions warn about it.
export ROS_AUTOMATIC_DISCOVERY_RANGE ?= LOCALHOST
ifeq ($(ROS_DISTRO),humble)
export ROS_LOCALHOST_ONLY ?= 1
endif

# Bytecode is kept, whatever the caller's container says: without it each of the hundreds of
# processes of a test run compiles anew all that it imports, which takes longer than its work.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup setup-dev demo test test-gpu lint bench docs lock clean

help:
	@echo 'make setup     set up .venv: everything that running needs'
	@echo 'make demo      find pedestrians in real video, over real ROS 2'
	@echo 'make test      lint, then run every test that this machine can run'
	@echo 'make test-gpu  run the tests that need an NVIDIA GPU and TensorRT'
	@echo 'make lint      style, types, package manifests'
	@echo 'make bench     measure speed on this machine'
	@echo 'make docs      rewrite the generated parts of the documentation'
	@echo 'make lock      resolve requirements/*.in again (for maintainers)'
	@echo 'make clean     remove everything that was set up or built here'

setup:
	@$(PYTHON) tools/setup_env.py

setup-dev:
	@$(PYTHON) tools/setup_env.py --dev

demo: setup
	$(BIN)/ped_demo $(ARGS)

lint: setup-dev
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy
	$(BIN)/python -m pytest -q test/test_lint.py

test: setup-dev
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

test-gpu: setup-dev
	$(BIN)/python -m pytest -m gpu --gpu-required $(ARGS)

bench: setup-dev
	$(BIN)/python tools/bench.py $(ARGS)

docs: setup-dev
	$(BIN)/python tools/docs.py $(ARGS)

lock: setup-dev
	$(BIN)/python tools/lock.py

clean:
	rm -rf .venv .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist install log \
	  demo_output ped_perception.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
