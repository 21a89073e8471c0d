# Two commands matter: `make quickstart` and `make test`. VENV names another virtual environment.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
FUZZ_INSTALLED := $(VENV)/.installed-fuzz

# The tools of `make release-check` and `make audit` have an environment of their own.
RELEASE_VENV ?= .venv-release
RELEASE := $(RELEASE_VENV)/bin/python
RELEASE_INSTALLED := $(RELEASE_VENV)/.installed
TAG ?=

# Inputs and outputs of `make bench`; override any of them on the command line, as in CORPORA=…
BENCH_VENV ?= .venv-bench
BENCH := $(BENCH_VENV)/bin/python
BENCH_INSTALLED := $(BENCH_VENV)/.installed
BENCH_WORK ?= runs/benchmarks
CORPORA ?= $(TAGGER_CORPORA)
VECTORS ?= $(CORPORA)/glove.6B.100d.txt
TEXT ?= $(CORPORA)/raw_text/melville-moby_dick.txt
THREADS ?= 2
MEGABYTES ?= 1000
CONLL = $(if $(CORPORA),,$(error CORPORA must be the folder of the corpora: make bench CORPORA=… VECTORS=…))--train \
	$(CORPORA)/conll2003/eng.train --dev $(CORPORA)/conll2003/eng.testa
UD := --train $(CORPORA)/ud_ewt/en_ewt-ud-train.conllu --dev $(CORPORA)/ud_ewt/en_ewt-ud-dev.conllu
MODELS := $(BENCH_WORK)/model-100 $(BENCH_WORK)/model-200

.PHONY: install quickstart test test-fast coverage check docs extras notebooks fuzz bench release-check audit format clean

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,dev]'
	touch $@

quickstart: $(INSTALLED)
	$(BIN)/python scripts/quickstart.py

# A file's tests run in one process, so that they share their fixtures.
PARALLEL := -n logical --maxprocesses 4 --dist loadfile

test: $(INSTALLED)
	$(BIN)/python -m pytest $(PARALLEL) $(PYTEST_OPTIONS)

# For every edit: less than a minute.
test-fast: $(INSTALLED)
	$(BIN)/python -m pytest -q -m 'not slow and not browser and not corpora'

# All tests; prints the lines and branches of each module that no test reaches.
coverage: $(INSTALLED)
	$(BIN)/python -m pytest $(PARALLEL) --cov

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The site is build/docs/site; `python -m http.server -d build/docs/site` shows it.
docs: $(INSTALLED)
	$(BIN)/python scripts/build_docs.py

# Install each extra alone in a fresh environment and use it.
extras: $(INSTALLED)
	$(BIN)/python scripts/check_extras.py

# Turn the tutorials into notebooks, in runs/notebooks.
notebooks: $(INSTALLED)
	$(BIN)/python scripts/notebooks.py

# Two minutes of fuzzing over all targets; `python scripts/fuzz/run.py TARGET` fuzzes one until it is interrupted.
fuzz: $(FUZZ_INSTALLED)
	$(BIN)/python scripts/fuzz/rounds.py

$(FUZZ_INSTALLED): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[fuzz]'
	touch $@

# Speed, memory and size of this and other taggers. Takes hours, mostly for training the others and for memory.
bench: $(BENCH_INSTALLED) $(MODELS:=/model.safetensors)
	$(BENCH) scripts/benchmarks/throughput.py $(MODELS:%=--model %) $(CONLL) --vectors $(VECTORS) \
		--peers $(BENCH_WORK)/peers --text $(TEXT) --threads $(THREADS)
	$(BENCH) scripts/benchmarks/plot.py
	$(BENCH) scripts/benchmarks/latency.py --model $(firstword $(MODELS)) --dev $(CORPORA)/conll2003/eng.testa \
		--threads $(THREADS)
	$(BENCH) scripts/benchmarks/scaling.py --model $(firstword $(MODELS)) \
		--corpus $(CORPORA)/conll2003/eng.train --threads $(THREADS)
	$(BENCH) scripts/benchmarks/memory.py --model $(firstword $(MODELS)) --text $(TEXT) \
		--megabytes $(MEGABYTES) --threads $(THREADS)
	$(BENCH) scripts/benchmarks/serving.py --model $(firstword $(MODELS)) --spacy $(BENCH_WORK)/peers/spacy-96x4 \
		--threads $(THREADS)
	$(BENCH) scripts/benchmarks/serving_memory.py --threads $(THREADS)
	$(BENCH) scripts/benchmarks/install_size.py
	$(BENCH) scripts/benchmarks/training.py --train $(CORPORA)/conll2003/eng.train --vectors $(VECTORS)
	$(BENCH) scripts/benchmarks/tokenizer.py $(UD) --raw $(TEXT)

$(BENCH_WORK)/model-%/model.safetensors: | $(BENCH_INSTALLED)
	$(BENCH) -m tagger train scripts/benchmarks/ncrfpp.toml $(CONLL) --vectors $(VECTORS) \
		--output $(@D) --set model.hidden_size=$* --restart

$(BENCH_INSTALLED): pyproject.toml scripts/benchmarks/constraints.txt
	test -x $(BENCH) || $(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH) -m pip install --quiet --disable-pip-version-check -c scripts/benchmarks/constraints.txt -e '.[train,bench,serve]'
	touch $@

# Build the wheels of the last commit and check them; `TAG=v0.1.0` compares the tag with the version, too.
release-check: $(RELEASE_INSTALLED)
	$(RELEASE) scripts/release_check.py $(if $(TAG),--tag $(TAG))

# Known vulnerabilities of the pinned versions (needs the network), and the workflows.
audit: $(RELEASE_INSTALLED)
	$(RELEASE) -m pip_audit --strict --no-deps --disable-pip -r constraints.txt
	$(RELEASE_VENV)/bin/zizmor --offline --pedantic .github

$(RELEASE_INSTALLED): scripts/release_requirements.txt
	test -x $(RELEASE) || $(PYTHON) -m venv $(RELEASE_VENV)
	$(RELEASE) -m pip install --quiet --disable-pip-version-check -r scripts/release_requirements.txt
	touch $@

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis runs/quickstart runs/fuzz
