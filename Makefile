# Two commands do everything: `make demo` builds and runs the main job, `make test` builds and runs the tests.
# What stands behind every other target is listed by `make help`.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
ENV    := PATH="$(CURDIR)/$(BIN):$$PATH"

# What the host must have, and what Debian and Ubuntu call it. CMake and ninja come with the `dev` extra.
APT := python3 python3-venv python3-dev gcc libc6-dev make
APT_LINE := apt-get update && apt-get install -y --no-install-recommends $(APT)
PYTHON_OK := import ensurepip, os, sys, sysconfig, venv; \
	header = os.path.join(sysconfig.get_path("include"), "Python.h"); \
	sys.exit(sys.version_info < (3, 11) or not os.path.exists(header))
HOST_OK := command -v cc >/dev/null && $(PYTHON) -c '$(PYTHON_OK)' 2>/dev/null

# Without its dependencies: we use none, and one of them brings a backport of `typing` that needs `wheel` to be built.
MUTATOR := universalmutator>=1.14

BUILD_TOOLS  := $(VENV)/.build-tools
INSTALLED    := $(VENV)/.installed
NATIVE_FILES := $(shell find native -type f)

.PHONY: help demo test venv lint types drift layers ctest bench differential mutation soak program everything models shortmodels coverage diagrams docs clean

help: ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## /\1\t/p' Makefile | expand -t 10

demo: venv ## build, then run the main job: a CPU and a GPU process share memory coherently over tcp
	$(BIN)/hsl demo

test: venv ## build, then run all tests
	$(ENV) $(BIN)/python -m pytest -q -n 2 --dist worksteal

venv: $(INSTALLED) ## the environment and the editable install, when pyproject.toml or native/ changed

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
	$(BIN)/hsl stress --ops 1000000 --seed 1
	$(BIN)/hsl stress --ops 100000 --seed 1 --via links --faults crc:1e-3,drop:1e-3
	$(BIN)/python -m tests.verify.planted

program: venv ## a million accesses of a real program through caches and link (needs valgrind; half a minute)
	PROGRAM='sort README.md CHANGELOG.md' HSL=$(BIN)/hsl examples/record_lackey.sh \
		--limit 1000000 --home interleaved --on both --seed 1

everything: test lint types drift layers coverage ctest models soak program differential bench mutation ## all of it; hours

clean: ## remove what was built, and the environment
	rm -rf build $(VENV)

# The editable install does not see edited C: this stamp does. It is not redone for Python files.
$(INSTALLED): $(BUILD_TOOLS) pyproject.toml $(NATIVE_FILES)
	$(ENV) $(PIP) install --no-build-isolation --editable '.[test,dev]'
	$(PIP) install --no-deps '$(MUTATOR)'
	@touch $@

$(BUILD_TOOLS):
	@$(MAKE) --no-print-directory host
	$(PYTHON) -m venv $(VENV)
	$(PIP) install 'scikit-build-core>=0.11' 'cffi>=2.0' 'cmake>=3.26' 'ninja>=1.11'
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
