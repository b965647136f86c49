"""Ends with 1 where a coverage report has a module of which no function ran.

python -m pytest -m fast --cov=fastapi_scopes --cov-report=json
python -m tests.modules_run coverage.json
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


def modules_not_run(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield the modules of the coverage *report* that were imported at most."""
    for path, module in report["files"].items():
        # The lines outside of all functions have no name.
        functions = [each for name, each in module["functions"].items() if name]
        parts = list(filter(_has_statements, functions)) or [module]
        if _has_statements(module) and not any(each["executed_lines"] for each in parts):
            yield path


def _has_statements(part: Mapping[str, Any]) -> bool:
    return bool(part["summary"]["num_statements"])


if __name__ == "__main__":
    missing = list(modules_not_run(json.loads(Path(sys.argv[1]).read_text())))
    sys.stderr.writelines(f"no function of {each} ran\n" for each in missing)
    sys.exit(bool(missing))
