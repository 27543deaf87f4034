"""The rooms of the package: imports go one way, and the picture in docs/architecture.md is the house that stands."""

from __future__ import annotations

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "specreason_graph"
ROOMS = ["contract", "endpoint", "generation", "models", "judging", "loop", "use", "tools"]
"""Each may import those before it; `nodes` is a part of `loop`, in a folder at the top."""
BESIDE = {"testing": {"contract"}}
"""Servers for tests: they know nothing of the loop that runs on them."""


def modules() -> dict[str, Path]:
    """Every module of the package, by its name."""
    files = [file for file in PACKAGE.rglob("*.py") if "nodes" not in file.relative_to(PACKAGE).parts[:1]]
    names = {file: file.relative_to(ROOT) for file in files}
    names |= {file: Path("specreason_graph") / file.relative_to(ROOT) for file in (ROOT / "nodes").glob("*.py")}
    return {".".join(name.with_suffix("").parts).removesuffix(".__init__"): file for file, name in names.items()}


MODULES = modules()


def imports(file: Path) -> set[str]:
    """The package's modules that a file imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("specreason_graph"):
            below = {f"{node.module}.{alias.name}" for alias in node.names} & MODULES.keys()
            found |= below or {str(node.module)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in MODULES}
    return found


def room(module: str) -> str | None:
    """The room a module is in; the package's own names are in none."""
    parts = module.split(".")
    return None if len(parts) < 2 else "loop" if parts[1] == "nodes" else parts[1]


@pytest.mark.parametrize("module", sorted(name for name in MODULES if room(name)))
def test_a_room_imports_only_what_is_below_it(module: str) -> None:
    here = room(module)
    assert here is not None
    allowed = BESIDE.get(here) or set(ROOMS[: ROOMS.index(here)])
    assert {room(imported) for imported in imports(MODULES[module])} <= allowed | {here}


def test_no_module_imports_itself_in_a_circle() -> None:
    TopologicalSorter({name: imports(file) - {name} for name, file in MODULES.items()}).prepare()


def test_the_top_level_is_read_at_a_glance() -> None:
    entries = {entry.name for entry in PACKAGE.iterdir() if entry.name != "__pycache__"}
    assert entries == {*ROOMS, *BESIDE, "nodes", "__init__.py", "py.typed"}
    assert len(entries) <= 12


def test_the_whole_loop_is_on_one_screen() -> None:
    """From the graph's nodes to its last edge."""
    source = (PACKAGE / "loop" / "graph.py").read_text()
    built = source[source.index("def node(") : source.index("return graph\n")]
    assert built.count("\n") <= 45
    for node in ("draft_step", "judge", "regenerate", "finalize"):
        assert f'add_node("{node}"' in built
        assert (ROOT / "nodes" / f"{node}.py").exists()


@pytest.mark.parametrize("where", ROOMS + list(BESIDE))
def test_the_architecture_page_knows_each_room(where: str) -> None:
    """And each module that it names is there."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    assert f"### `{where}`" in page
    for link in re.findall(r"\]\(\.\./([^)#]+)\)", page):
        assert (ROOT / link).exists(), link


def reads_by_locale(call: ast.Call) -> bool:
    """Whether a call reads or writes text in an encoding that it does not name."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    mode = [node.value for node in ast.walk(ast.Module(call.args, [])) if isinstance(node, ast.Constant)][-1:]  # type: ignore[arg-type]
    opens = name in ("open", "NamedTemporaryFile") and mode and set(str(mode[0])) <= set("rwax+t")
    asked = any(key.arg == "text" and getattr(key.value, "value", False) is True for key in call.keywords)
    return bool(
        (name in ("read_text", "write_text") or opens or asked)
        and not any(key.arg == "encoding" for key in call.keywords)
    )


@pytest.mark.parametrize("folder", ["specreason_graph", "nodes", "benchmarks", "examples"])
def test_files_are_utf_8_whatever_the_locale(folder: str) -> None:
    found = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and reads_by_locale(node)
    ]
    assert not found


def test_judging_depends_on_no_run() -> None:
    """So that any recorded step can be judged again."""
    for name, file in MODULES.items():
        if room(name) == "judging":
            nodes = ast.walk(ast.parse(file.read_text()))
            assert not [node for node in nodes if isinstance(node, ast.ImportFrom) and "langgraph" in str(node.module)]
