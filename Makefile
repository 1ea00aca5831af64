# What one can do here. `make help` prints this list; each target installs what it needs and a second run is quick.
#
# A stamp is an empty file in .venv that says "done, and newer than what it was made from". Deleting .venv and target
# brings back a fresh checkout.

PYTHON  ?= python3
VENV    := .venv
BIN     := $(VENV)/bin
STAMPS  := $(VENV)/stamps
ARGS    ?=

export CARGO_TARGET_DIR := $(CURDIR)/target
# The same for cargo and maturin, or each would rebuild what the other built.
export PYO3_PYTHON := $(CURDIR)/$(BIN)/python
export PYO3_BUILD_EXTENSION_MODULE := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore

NATIVE_SOURCES := Cargo.toml Cargo.lock $(shell find crates -name '*.rs' -o -name Cargo.toml)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test check check-python check-rust bench prove native-dev native-release test-python test-rust lock \
	reference fmt clean

help: ## print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

demo: $(STAMPS)/demo native-release ## protect a sample application; ARGS=--once ends by itself
	@$(BIN)/bartizan demo $(ARGS)

test: test-rust test-python ## every test, in Rust and in Python

test-rust: $(STAMPS)/cargo $(STAMPS)/dev
	cargo test --workspace --locked --quiet

test-python: $(STAMPS)/packages $(STAMPS)/demo $(STAMPS)/dev native-dev
	$(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(ARGS)

check: check-python check-rust ## linters, types, import rules, licences

# Whatever else is made at the same time (`make -j2 check`), two pips do not write to .venv.
check-python: native-dev
	@$(MAKE) --no-print-directory $(STAMPS)/dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m mypy.stubtest bartizan._native --mypy-config-file pyproject.toml

check-rust: $(STAMPS)/cargo-deny $(STAMPS)/python
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked --quiet -- -D warnings
	$(VENV)/cargo/bin/cargo-deny --workspace check --hide-inclusion-graph licenses bans sources

bench: $(STAMPS)/packages $(STAMPS)/demo $(STAMPS)/dev native-release ## make bench ARGS=proxy: measure beside peers; takes half an hour
	$(BIN)/python -m benches.$(or $(ARGS),proxy)

prove: $(STAMPS)/packages $(STAMPS)/demo $(STAMPS)/dev native-release ## make prove NAME=browser: a long run of proofs/browser.py; prints one JSON line
	@$(BIN)/python -m proofs.$(NAME) $(ARGS)

reference: native-dev ## write docs/reference from the tables it is made of
	$(BIN)/python -m bartizan.config.reference
	$(BIN)/python -m bartizan.cli.reference
	$(BIN)/python -m bartizan.events.reference
	$(BIN)/python -m bartizan.rules.reference
	$(BIN)/python -m bartizan.supervisor.reference
	$(BIN)/python -m bartizan.waf.reference

fmt: $(STAMPS)/dev ## format everything
	$(BIN)/ruff format
	$(BIN)/ruff check --fix --quiet || true
	cargo fmt --all

lock: $(STAMPS)/dev ## resolve requirements/*.in into hashed *.txt, without addresses
	for set in base build analytics demo sinks dev applications; do \
		$(BIN)/uv pip compile --quiet --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
			--no-annotate requirements/$$set.in --output-file requirements/$$set.txt || exit 1; done

clean: ## forget everything that was built or installed
	rm -rf $(VENV) target src/bartizan/_native.abi3.so

native-dev: $(STAMPS)/native-dev

native-release: $(STAMPS)/native-release

$(STAMPS)/python:
	@sh tools/require.sh python "$(PYTHON)"
	$(PYTHON) -m venv $(VENV)
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/cargo:
	@sh tools/require.sh cargo
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/packages: tools/require.sh
	@sh tools/require.sh packages
	@mkdir -p $(STAMPS) && touch $@

# What `bartizan demo` needs: the product with both its extras, and maturin to build its native module.
$(STAMPS)/demo: requirements/base.txt requirements/build.txt requirements/analytics.txt requirements/demo.txt | $(STAMPS)/python
	$(BIN)/pip install --quiet --require-hashes $(foreach f,$^,-r $f)
	@touch $@

$(STAMPS)/dev: requirements/base.txt requirements/sinks.txt requirements/dev.txt | $(STAMPS)/python
	$(BIN)/pip install --quiet --require-hashes $(foreach f,$^,-r $f)
	@touch $@

$(STAMPS)/cargo-deny: | $(STAMPS)/cargo
	CARGO_PROFILE_DEV_DEBUG=false cargo install --quiet --locked --debug --no-default-features --root $(VENV)/cargo cargo-deny
	@touch $@

# Both profiles are installed at one place, so each takes the other's stamp away.
$(STAMPS)/native-dev: $(NATIVE_SOURCES) pyproject.toml $(STAMPS)/demo | $(STAMPS)/cargo
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/maturin develop --locked --quiet
	@rm -f $(STAMPS)/native-release && touch $@

$(STAMPS)/native-release: $(NATIVE_SOURCES) pyproject.toml $(STAMPS)/demo | $(STAMPS)/cargo
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/maturin develop --locked --quiet --release
	@rm -f $(STAMPS)/native-dev && touch $@
