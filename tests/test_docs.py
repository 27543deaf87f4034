"""What the documentation shows works as it stands there."""

import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[1] / "docs"


async def test_the_example_of_testing_md() -> None:
    [code] = re.findall(r"```python\n(.*?)```", (DOCS / "testing.md").read_text(), flags=re.DOTALL)
    namespace: dict[str, Any] = {}
    exec(code, namespace)
    await namespace["test_a_wrong_step_is_written_by_base"]()
