# Everything works on a machine with Python 3.11, 3.12 or 3.13, pip and make: the environment is made on first use.
PYTHON ?= python3
PORT ?= 2024
BIN := .venv/bin

PYTHONS := 3.11 3.12 3.13
SCRIPTED := -m "not real_models and not real_vllm"
# By themselves, on one Python: what is slow and tells nothing of a Python (measurements, kills, load, fits, other
# people's programs), or nothing of Python (the launcher's processes, whose ports another suite may take meanwhile).
MANY := tests/loop/test_many_runs.py::test_a_thousand_questions_at_once
ALONE := tests/benchmarks tests/durable tests/agents tests/soak tests/tools/calibrate tests/tools/launch \
	tests/tools/doctor tests/tools/cli/test_up.py tests/use/studio tests/use/gateway/test_harness.py
# On a pair of its own, whose models see.
SEEING := tests/endpoint/test_contract_images.py
QUICK := $(SCRIPTED) $(ALONE:%=--ignore %) --deselect $(MANY)
# What a browser and a shell make of it is seen on one Python.
ELSEWHERE := $(QUICK) --ignore tests/use/page/test_browser.py --ignore tests/tools/report \
	--ignore tests/tools/cli/test_hostile.py

.PHONY: demo studio test test-real test-pythons $(PYTHONS:%=test-%) durable soak test-vllm test-vllm-images \
	test-vllm-contract test-vllm-kills vllm-cpu lint examples clean

.venv/.installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

demo: .venv/.installed  ## three word problems on two real models, and a page of them
	$(BIN)/specreason demo --html runs/demo.html

studio: .venv/.installed  ## LangGraph's development server; without SPECREASON_… servers on the embedded pair
	LANGSMITH_TRACING=false LANGGRAPH_CLI_NO_ANALYTICS=1 LANGGRAPH_NO_VERSION_CHECK=true \
		$(BIN)/langgraph dev --no-browser --no-reload --port $(PORT)

test: .venv/.installed  ## all tests on scripted servers
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(QUICK)
	$(BIN)/python -m pytest $(SCRIPTED) $(ALONE) $(MANY)

test-real: .venv/.installed  ## the tests on real pretrained models under llama.cpp
	$(BIN)/python -m pytest -m real_models

test-pythons:  ## the quick suite on each Python that this machine has beside .venv's (pyenv's shims heed PYENV_VERSION)
	@here=; for it in $(PYTHONS); do \
		if [ -e $(BIN)/python$$it ]; then echo "Python $$it: has .venv, where all tests run"; \
		elif PYENV_VERSION=$$it python$$it -c "" 2> /dev/null; then echo "Python $$it: tested"; here="$$here test-$$it"; \
		else echo "Python $$it: not on this machine, not tested"; fi; \
	done; \
	[ -z "$$here" ] || $(MAKE) --no-print-directory --keep-going $$here

$(PYTHONS:%=.venv-%/.installed): .venv-%/.installed: pyproject.toml
	PYENV_VERSION=$* python$* -m venv .venv-$*
	.venv-$*/bin/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

$(PYTHONS:%=test-%): test-%: .venv-%/.installed
	SPECREASON_EXAMPLES=50 .venv-$*/bin/python -m pytest -q --numprocesses 2 --dist loadfile $(ELSEWHERE)

durable: .venv/.installed  ## runs killed at random moments: 75 kills for each kind of checkpointer
	SPECREASON_KILLS=25 $(BIN)/python -m pytest tests/durable

soak: .venv/.installed  ## thousands of runs with faults, kills, a database that crashes, and real models; SOAK: options
	cd tests && ../$(BIN)/python -m soak $(SOAK)

vllm-cpu: .venv/.installed  ## vLLM for a CPU in an environment of its own, and real models for it
	$(BIN)/python -m tests.real_vllm.environment

test-vllm: test-vllm-images test-vllm-contract test-vllm-kills  ## the tests on real vLLM servers

test-vllm-images: vllm-cpu
	$(BIN)/python -m pytest -m real_vllm $(SEEING) tests/real_vllm/test_images.py

test-vllm-contract: vllm-cpu
	$(BIN)/python -m pytest -m real_vllm tests/endpoint --ignore $(SEEING) tests/real_vllm/test_cross.py \
		tests/real_vllm/test_fields.py tests/real_vllm/test_faults.py

test-vllm-kills: vllm-cpu
	$(BIN)/python -m pytest -m real_vllm tests/real_vllm/test_killed.py tests/real_vllm/test_twin.py tests/benchmarks

lint: .venv/.installed  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

examples: .venv/.installed  ## every example, on the embedded pair
	for example in examples/*.py; do echo "$$example"; $(BIN)/python $$example || exit 1; done

clean:
	rm -rf .venv .venv-* build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
