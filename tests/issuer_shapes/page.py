"""Make the tables of docs/your-issuer.md of the rows that the tests run.

    python -m tests.issuer_shapes.page

The words around the tables are written on the page itself.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.issuer_shapes.rows import Row, kind_of, members_of, rows_of

PAGE = Path(__file__).parents[2] / "docs" / "your-issuer.md"
_TABLE = re.compile(r"(<!-- rows: (\w+) -->\n).*?(<!-- /rows -->)", re.DOTALL)
_HEAD = "| issuer | settings | traps | in its portal |\n| --- | --- | --- | --- |\n"
# Each row has them, and they say nothing of the issuer.
_UNTOLD = ("client_id", "client_secret")
_ORIGINS = {
    "documentation": "[documentation]({source}), read {read}",
    "source": "[source]({source}), read {read}",
    "reports": "from reports; see its [documentation]({source})",
}


def python_of(value: Any) -> str:
    """The Python that *value* stands for in a row."""
    match value:
        case str():
            return value[1:] if value.startswith("$") else json.dumps(value, ensure_ascii=False)
        case list():
            return f"[{', '.join(map(python_of, value))}]"
        case dict():
            return f"{{{', '.join(f'{python_of(k)}: {python_of(v)}' for k, v in value.items())}}}"
        case _:
            return repr(value)


def _settings_of(member: Row, default: str) -> Iterator[str]:
    if kind_of(member) != default:
        yield f"`{kind_of(member)}`"
    for name, value in member["settings"].items():
        if name not in _UNTOLD:
            yield f"`{name}={python_of(value)}`"


def line_of(row: Row, default: str) -> str:
    """The line of *row* in a table of verifiers that are *default* where nothing else is said."""
    settings = [*(["`IssuersVerifier` of"] if "members" in row else [])]
    for member in members_of(row):
        settings += _settings_of(member, default if "members" not in row else "")
    origin = _ORIGINS[row["basis"]].format_map(row)
    name = f'<a id="issuer-{row["id"]}"></a>**{row["name"]}**<br>{origin}'
    return f"| {name} | {'<br>'.join(settings)} | {row['trap']} | {row['portal']} |\n"


def table_of(group: str) -> str:
    default = {"opaque": "IntrospectionVerifier", "libraries": "JWTVerifier"}.get(
        group, "JWKSVerifier"
    )
    return _HEAD + "".join(line_of(row, default) for row in rows_of(group))


def render(page: str) -> str:
    """The *page* with the rows in its tables."""
    return _TABLE.sub(lambda found: found[1] + "\n" + table_of(found[2]) + "\n" + found[3], page)


def main() -> None:
    PAGE.write_text(render(PAGE.read_text()))


if __name__ == "__main__":
    main()
