# Needs Python 3.11 or later, make, and a network for the first run; everything it makes is in
# .venv and build. `make help` tells what there is.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
SHELL := /bin/sh

PYTHON ?= python3
INFLUX ?=
ARGS ?=
TESTS ?= tests
WITH ?=
BENCH ?= encode publish subscribe whole footprint idle wear

VENV := .venv
TESTED := build/venv
LOCKED := pip --disable-pip-version-check install -q --require-hashes --no-build-isolation
OURS := pip --disable-pip-version-check install -q --no-deps --no-build-isolation
SOURCES := pyproject.toml README.md LICENSE MySense.conf MySense.py \
	$(shell find mysense channels sensors testdata -name __pycache__ -prune -o -print)

# msgpack has no wheel for 32-bit Pis: then its sources are taken, and need no compiler this way
export MSGPACK_PUREPYTHON := 1
export PYTHONWARNINGS :=
export DEBIAN_FRONTEND := noninteractive

# $(call need,what to look for,Debian package,what for)
define need
	@if ! { $(1); } >/dev/null 2>&1; then \
		if [ "$$(id -u)" = 0 ]; then sudo=; else sudo='sudo -n'; fi; \
		if $$sudo apt-get --version >/dev/null 2>&1; then \
			echo 'Installing the Debian package $(2) $(3)'; \
			$$sudo apt-get -qq update && $$sudo apt-get -qq install -y $(2) >/dev/null; \
		fi; \
		{ $(1); } >/dev/null 2>&1 || { \
			echo 'Missing: $(2) $(3). Install it, on Debian: sudo apt-get install $(2)' >&2; \
			exit 1; }; \
	fi
endef

# $(call want,what to look for,Debian package): the same, but what then cannot be tested says so
define want
	@if ! { $(1); } >/dev/null 2>&1; then \
		if [ "$$(id -u)" = 0 ]; then sudo=; else sudo='sudo -n'; fi; \
		if $$sudo apt-get --version >/dev/null 2>&1; then \
			echo 'Installing the Debian package $(2) (to provoke faults)'; \
			$$sudo apt-get -qq update && $$sudo apt-get -qq install -y $(2) >/dev/null || :; \
		fi; \
	fi
endef

# $(call venv,folder)
define venv
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo 'MySense needs Python 3.11 or later; name one with: make PYTHON=python3.11 ...' >&2; \
		exit 1; }
	$(call need,$(PYTHON) -c "import ensurepip",python3-venv,(to make an environment))
	@test -x $(1)/bin/pip || $(PYTHON) -m venv --clear $(1)
endef

.PHONY: help
help:  ## this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*##/\t/' | expand -t 16

.PHONY: install
install: $(VENV)/.run $(WITH:%=$(VENV)/.%)  ## .venv with MySense; WITH="fast sensors" for extras

.PHONY: demo
demo: $(VENV)/.run  ## a kit and a server in one go; INFLUX=host:port goes over that InfluxDB
	@$(VENV)/bin/mysense demo $(if $(INFLUX),--influx $(INFLUX)) $(ARGS)

# files of tests beside each other; 0 runs one after the other
JOBS ?= 2

.PHONY: test
test: $(TESTED)/.wheel  ## all tests over the built wheel; TESTS=tests/cli ARGS=-x for some
	$(call need,command -v influxd,influxdb,(the tests run a real server))
	$(call need,command -v victoria-metrics,victoria-metrics,(the tests let it read our lines))
	$(call need,command -v systemd-analyze,systemd,(the tests check the service unit))
	$(call want,command -v strace,strace)
	$(call want,command -v fusermount3,fuse3)
	$(call want,command -v nft || test -x /usr/sbin/nft,nftables)
	$(call want,command -v ip || test -x /usr/sbin/ip,iproute2)
	$(call want,command -v faketime,faketime)
	@cd build && MYSENSE_TEST_INSTALLED=1 $(abspath $(TESTED))/bin/pytest \
		-c ../pyproject.toml --rootdir=.. -n $(JOBS) --dist loadfile \
		$(addprefix ../,$(TESTS)) $(ARGS)

# The same tests as against the fake: INFLUXD2 is a binary that they start themselves, INFLUX2_URL a
# server that runs, where INFLUX2_TOKEN may do everything; the organisations of tests are gone afterwards
INFLUXD2 ?=
INFLUX2_URL ?=

.PHONY: test-influx2
test-influx2: $(TESTED)/.wheel  ## against a real InfluxDB 2: INFLUXD2=influxd, or INFLUX2_URL and INFLUX2_TOKEN
	@test -n "$(INFLUXD2)$(INFLUX2_URL)" || { \
		echo 'Say which: INFLUXD2=/path/of/influxd, or INFLUX2_URL=http://host:port INFLUX2_TOKEN=...' >&2; \
		exit 64; }
	@cd build && MYSENSE_TEST_INSTALLED=1 MYSENSE_TEST_INFLUX2=real \
		$(if $(INFLUXD2),INFLUXD2="$(abspath $(shell command -v $(INFLUXD2)))") \
		$(abspath $(TESTED))/bin/pytest -c ../pyproject.toml --rootdir=.. -m influx2 ../tests $(ARGS)

.PHONY: test-checkout
test-checkout: $(VENV)/.dev  ## the tests that need a checkout: plugins started as files
	@$(VENV)/bin/pytest tests/cli/test_standalone.py $(ARGS)

# FAULTS=disk for those with that word in their names; see docs/faults.md
FAULTS ?=

.PHONY: faults
faults:  ## every fault that can be provoked, in its whole form: about a quarter of an hour
	@$(MAKE) --no-print-directory test JOBS=0 TESTS=tests/faults \
		ARGS='-q -m faults -o faulthandler_timeout=900 $(if $(FAULTS),-k "$(FAULTS)") $(ARGS)'

# the time-out of a test that hangs is for the others, which take seconds
SOAK_SECONDS ?= 600

.PHONY: soak
soak:  ## a kit with faults for ten minutes; SOAK_SECONDS=3600 for an hour
	@SOAK_SECONDS=$(SOAK_SECONDS) $(MAKE) --no-print-directory test JOBS=0 TESTS=tests/test_kit_soak.py \
		ARGS="-o faulthandler_timeout=$$(($(SOAK_SECONDS) + 120)) $(ARGS)"

.PHONY: mutants
mutants: build/mutants/.done  ## journal and delivery with one fault at a time: tests have to see each
	@PYTHONPATH=. build/mutants/venv/bin/python -m tools.mutants $(ARGS)

.PHONY: lint
lint: $(VENV)/.dev  ## style, format and types
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy

.PHONY: audit
audit: build/audit/.done  ## known weaknesses of all that is locked; what cannot be audited is one too
	@for one in requirements/*.txt; do echo "== $$one"; \
		build/audit/bin/pip-audit --strict --require-hashes --disable-pip \
			--progress-spinner off -r $$one || exit 1; done

.PHONY: docs
docs: $(VENV)/.docs  ## the documentation as web pages in build/docs
	@$(VENV)/bin/sphinx-build -q -W --keep-going -b html -d build/doctrees docs build/docs
	@echo 'docs: build/docs/index.html'

.PHONY: docs-tables
docs-tables: $(VENV)/.run  ## fill the option tables and help texts in docs
	@$(VENV)/bin/python docs/generate.py

.PHONY: bench
bench: $(VENV)/.dev $(VENV)/.run  ## speed and memory; BENCH=encode for one of them
	$(call need,command -v influxd,influxdb,(the benchmarks run a real server))
	@for one in $(BENCH); do \
		echo "== $$one"; PYTHONPATH=. $(VENV)/bin/python benchmarks/$$one.py $(ARGS) || exit 1; done

# One resolution for every Python from 3.11 and every machine, with the hashes of all files of
# every release in it. Edit pyproject.toml, run this, commit what changed; `make lock UPGRADE=1`
# takes the newest releases.
UPGRADE ?=
COMPILE = build/lock/bin/uv pip compile -q --universal --python-version 3.11 \
	--fork-strategy fewest --generate-hashes --custom-compile-command "make lock" --no-annotate --no-emit-index-url \
	$(if $(UPGRADE),--upgrade)

.PHONY: lock
lock: build/lock/bin/uv  ## requirements/*.txt anew from pyproject.toml
	@$(COMPILE) pyproject.toml -o requirements/run.txt
	@$(COMPILE) -c requirements/run.txt pyproject.toml --extra fast -o requirements/fast.txt
	@$(COMPILE) -c requirements/run.txt pyproject.toml --extra sensors -o requirements/sensors.txt
	@$(COMPILE) -c requirements/run.txt pyproject.toml --extra metrics -o requirements/metrics.txt
	@$(COMPILE) -c requirements/fast.txt -c requirements/sensors.txt \
		-c requirements/metrics.txt pyproject.toml \
		--extra fast --extra sensors --group dev -o requirements/dev.txt
	@$(COMPILE) -c requirements/dev.txt --group docs -o requirements/docs.txt
	@$(COMPILE) -c requirements/dev.txt --group build -o requirements/build.txt
	@$(COMPILE) --group audit -o requirements/audit.txt
	@$(COMPILE) -c requirements/dev.txt --group mutants -o requirements/mutants.txt
	@$(COMPILE) --no-deps --group neighbours -o requirements/neighbours.txt

.PHONY: clean
clean:  ## remove everything that make made
	rm -rf $(VENV) build dist .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.needs: requirements/build.txt requirements/run.txt
	@echo 'Installing what MySense needs into $(VENV)'
	$(call venv,$(VENV))
	@$(VENV)/bin/$(LOCKED) -r requirements/build.txt
	@$(VENV)/bin/$(LOCKED) -r requirements/run.txt
	@touch $@

$(VENV)/.run: $(VENV)/.needs $(SOURCES)
	@$(VENV)/bin/$(OURS) --force-reinstall .
	@touch $@

$(VENV)/.%: requirements/%.txt $(VENV)/.needs
	@$(VENV)/bin/$(LOCKED) -r $<
	@touch $@

# The wheel under test is built from the source distribution, so both are known to work.
build/.dist: $(TESTED)/.dev $(SOURCES)
	@rm -rf build/dist
	@$(TESTED)/bin/hatchling build -t sdist -d build/dist >build/sdist.log 2>&1 || { \
		cat build/sdist.log; exit 1; }
	@$(TESTED)/bin/pip --disable-pip-version-check wheel -q --no-deps --no-build-isolation \
		-w build/dist build/dist/mysense-*.tar.gz
	@touch $@

$(TESTED)/.dev: requirements/build.txt requirements/dev.txt requirements/neighbours.txt
	@echo 'Installing what the tests need into $(TESTED)'
	$(call venv,$(TESTED))
	@$(TESTED)/bin/$(LOCKED) -r requirements/build.txt
	@$(TESTED)/bin/$(LOCKED) -r requirements/dev.txt
	@$(TESTED)/bin/$(LOCKED) --no-deps -r requirements/neighbours.txt
	@touch $@

$(TESTED)/.wheel: build/.dist
	@$(TESTED)/bin/$(OURS) --force-reinstall build/dist/mysense-*.whl
	@touch $@

build/audit/.done: requirements/audit.txt
	$(call venv,build/audit)
	@build/audit/bin/$(LOCKED) -r $<
	@touch $@

build/mutants/.done: requirements/run.txt requirements/dev.txt requirements/mutants.txt
	$(call venv,build/mutants/venv)
	@build/mutants/venv/bin/$(LOCKED) -r requirements/build.txt
	@build/mutants/venv/bin/$(LOCKED) -r requirements/run.txt
	@build/mutants/venv/bin/$(LOCKED) -r requirements/dev.txt
	@build/mutants/venv/bin/$(LOCKED) -r requirements/mutants.txt
	@touch $@

build/lock/bin/uv:
	$(call venv,build/lock)
	@build/lock/bin/pip --disable-pip-version-check install -q uv==0.13.9
