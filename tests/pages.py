"""The pages of the documentation, and the code in them."""

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def python_of(page: Path) -> list[str]:
    """Return the blocks of Python of *page*, in their order."""
    return [text for language, text in FENCE.findall(page.read_text()) if language == "python"]


def run_python(page: Path, *, blocks: int | None = None) -> dict[str, Any]:
    """Run the Python of *page*, or its first *blocks*, and return the names that it makes."""
    namespace: dict[str, Any] = {"__name__": page.stem}
    for text in python_of(page)[:blocks]:
        exec(compile(text, page.name, "exec"), namespace)  # noqa: S102
    return namespace
