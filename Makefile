# Two commands do everything: `make demo` builds and runs the main job, `make test` builds and runs the tests.
# What stands behind every other target is listed by `make help`.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
ENV    := PATH="$(CURDIR)/$(BIN):$$PATH"

# What the host must have, and what Debian and Ubuntu call it. CMake and ninja come from pip.
APT := python3 python3-venv python3-dev gcc libc6-dev make
APT_LINE := apt-get update && apt-get install -y --no-install-recommends $(APT)
PYTHON_OK := import ensurepip, os, sys, sysconfig, venv; \
	header = os.path.join(sysconfig.get_path("include"), "Python.h"); \
	sys.exit(sys.version_info < (3, 11) or not os.path.exists(header))
HOST_OK := command -v cc >/dev/null && $(PYTHON) -c '$(PYTHON_OK)' 2>/dev/null

# Without its dependencies: we use none, and one of them brings a backport of `typing` that needs `wheel` to be built.
MUTATOR := universalmutator>=1.14

PACKAGE      := $(VENV)/.package
INSTALLED    := $(VENV)/.installed
NATIVE_FILES := $(shell find native -type f)

.PHONY: help demo test venv lint types drift layers ctest bench differential mutation soak program everything models shortmodels coverage diagrams pictures docs debian13 clean

help: ## this list
	@sed -n 's/^\([a-z0-9]*\):[^#]*## /\1\t/p' Makefile | expand -t 14

demo: $(PACKAGE) ## build, then run the main job: a CPU and a GPU process share memory coherently over tcp
	$(BIN)/hsl demo

test: venv ## build, then run all tests
	$(ENV) $(BIN)/python -m pytest -q -n 2 --dist worksteal

venv: $(INSTALLED) ## the editable install and the tools of tests and checks, when pyproject.toml or native/ changed

lint: venv ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: venv ## mypy --strict
	$(BIN)/mypy

drift: venv ## the generated files are what spec/ says
	$(BIN)/python -m spec.gen --check

layers: venv ## who may import whom
	$(ENV) $(BIN)/lint-imports

ctest: venv ## the C tests under AddressSanitizer and UndefinedBehaviorSanitizer
	$(ENV) cmake -S native -B build/sanitize -G Ninja -DCMAKE_BUILD_TYPE=Debug \
		-DHSL_TESTS=ON -DHSL_SANITIZE=ON -DHSL_WERROR=ON -DHSL_EXTENSION=OFF
	$(ENV) cmake --build build/sanitize
	$(ENV) ctest --test-dir build/sanitize --output-on-failure --no-tests=error

bench: venv ## both codecs beside the CRC alone, what is promised of them, and what a line of the demo costs
	$(BIN)/python -m pytest tests/bench/test_codec.py -q --benchmark-only --benchmark-columns=min,median,rounds \
		--benchmark-sort=name --benchmark-json=build/bench.json
	HSL_ENGINE=reference $(BIN)/python -m tests.bench.claims
	$(BIN)/python -m tests.bench.growth

FLITS := 10000000

differential: venv ## both codecs on FLITS (10 million) damaged flits: not one may differ
	$(BIN)/python -m tests.differential.long_run --flits $(FLITS)

models: venv ## all states of the models of the link and of coherence, then every planted fault (needs rumur)
	$(BIN)/hsl model link
	$(BIN)/hsl model link --mutants
	$(BIN)/hsl model coherence
	$(BIN)/hsl model coherence --mutants

shortmodels: venv ## all states of the models that are marked short (needs rumur; a minute of two cores)
	$(BIN)/hsl model link --short
	$(BIN)/hsl model coherence --short

diagrams: ## the state diagrams of the link as SVG, in build/diagrams (needs graphviz)
	mkdir -p build/diagrams
	for file in spec/generated/*.dot; do dot -Tsvg "$$file" -o "build/diagrams/$$(basename "$$file" .dot).svg" || exit 1; done

pictures: venv ## the pictures of README and docs, drawn from runs; they are checked in
	$(BIN)/python docs/pictures/make.py

docs: venv ## the documentation as a web site, in build/docs
	$(BIN)/python -m sphinx -E -q -W --keep-going -c docs . build/docs

coverage: venv ## which cells of the link table and of the coherence tables the tests reach
	rm -rf build/coverage
	$(BIN)/python -m pytest -q tests/link/test_cells*.py tests/link/test_state.py \
		--link-coverage build/coverage/link
	$(BIN)/hsl coverage link
	$(BIN)/python -m pytest -q tests/agents/test_cells.py --coherence-coverage build/coverage/coherence
	$(BIN)/hsl coverage coherence

SEED := 1
BUDGET := 8

mutation: venv ## small faults in lines drawn by SEED (1), for BUDGET (8) minutes after the tests ran without one
	$(ENV) $(BIN)/python -m tests.mutation --seed $(SEED) --budget $(BUDGET)

soak: venv ## a million flits and a million operations, with faults, low power and link-downs; every planted bug of the agents with five seeds
	$(BIN)/hsl link soak --flits 1000000 --faults crc:1e-3,drop:1e-3 --seed 1
	$(BIN)/hsl link soak --flits 100000 --links 3 --kill-link 1@50000 --seed 1
	$(BIN)/hsl link soak --flits 200000 --low-power 1000 --faults crc:1e-3,drop:1e-3,seq@CTL:0.1 --seed 1
	$(BIN)/hsl link soak --flits 200000 --faults link-down:2e-4:ns=20000,crc:1e-3 --seed 2
	$(BIN)/hsl link soak --flits 100000 --links 3 --flit B256 --low-power 1000 --faults link-down:1e-4:ns=20000,drop:1e-3 --seed 1
	$(BIN)/python -m tests.link.restarts --restarts 10000 --seed 1
	$(BIN)/hsl stress --ops 1000000 --seed 1
	$(BIN)/hsl stress --ops 100000 --seed 1 --via links --faults crc:1e-3,drop:1e-3
	$(BIN)/python -m tests.verify.planted

program: venv ## a million accesses of a real program through caches and link (needs valgrind; half a minute)
	PROGRAM='sort README.md CHANGELOG.md' HSL=$(BIN)/hsl examples/record_lackey.sh \
		--limit 1000000 --home interleaved --on both --seed 1

everything: test lint types drift layers coverage ctest models soak program differential bench mutation ## all of it; hours

CHROOT := build/trixie

debian13: ## make demo and make test of the last commit on a fresh Debian 13, in CHROOT (needs root and debootstrap)
	tests/support/debian.sh trixie $(CHROOT)

clean: ## remove what was built, and the environment
	rm -rf build $(VENV)

# What the demo needs and no more. The editable install does not see edited C: this stamp does. It is not redone for
# Python files. CMake and ninja come from pip: into an environment that it removes after the build, or for those who
# work on hsl into theirs, so that an edit of one C file compiles one C file.
DEPENDENCIES = $(shell sed -n '/^dependencies/,/^]/s/^  "\([a-z]*\).*/\1/p' pyproject.toml)

$(PACKAGE): pyproject.toml $(NATIVE_FILES)
	@$(MAKE) --no-print-directory host
	@echo 'Building hsl in $(VENV) and installing $(DEPENDENCIES): half a minute'
	@test -e $@ || $(PYTHON) -m venv $(VENV)
	@$(ENV) $(PIP) install $(if $(wildcard $(INSTALLED)),--no-build-isolation) --editable .
	@touch $@

$(INSTALLED): pyproject.toml | $(PACKAGE)
	@echo 'Installing the tools of tests and checks into $(VENV): half a minute'
	@$(PIP) install 'hsl-interconnect[test,dev]'
	@$(PIP) install --no-deps '$(MUTATOR)'
	@touch $@

.PHONY: host
host:
	@$(HOST_OK) && exit 0; \
	echo 'Needs python3 >= 3.11 with venv and headers, a C compiler and make:'; \
	echo '    $(APT_LINE)'; \
	test "$$(id -u)" = 0 && command -v apt-get >/dev/null || exit 1; \
	export DEBIAN_FRONTEND=noninteractive; $(APT_LINE) || exit 1; \
	$(HOST_OK) && exit 0; \
	echo '$(PYTHON) will still not do. Give another: make PYTHON=/usr/bin/python3 $(MAKECMDGOALS)'; exit 1
