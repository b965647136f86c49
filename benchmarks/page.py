"""Make docs/performance.md, and its plots, of the figures of one run.

    python -m benchmarks.page

Reads benchmarks/results/performance.json, which `python -m benchmarks.guard_overhead --json` wrote.
Nothing on the page is written by hand but the words in `performance.template.md`.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from string import Template
from typing import Any

from benchmarks.plot import THEMES, Bar, svg

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "performance.json"
WORDS = HERE / "performance.template.md"
DOCS = HERE.parent / "docs"

Found = dict[str, Any]


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table whose columns are numbers but for the first."""
    names = [*head]
    rule = ["---", *["---:" for _ in names[1:]]]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (names, rule, *rows))


def number(value: float, unit: str) -> str:
    # Adding 0 makes 0 of -0.
    return f"{value:.2f}" if unit == "x" else f"{round(value, 2) + 0:+.2f}"


def limit_of(figure: Found) -> str:
    if figure["limit"] is None:
        return ""
    sign = "≥" if figure["table"] == "throughput" else "≤"
    return f"{sign} {figure['limit']:g}, {'holds' if figure['holds'] else '**does not hold**'}"


def table_of(found: Found, name: str, unit: str) -> str:
    rows = [
        (
            figure["name"],
            number(figure["value"], figure["unit"]),
            " to ".join(number(figure[end], figure["unit"]) for end in ("low", "high")),
            number(figure["quiet"], figure["unit"]),
            limit_of(figure),
        )
        for figure in found["figures"]
        if figure["table"] == name
    ]
    return table(("", unit, "quartiles", "quietest tenth", "limit"), rows)


def peers_table(found: Found) -> str:
    head = ("", "signed with", "verifies", "1 route, B", "quartiles", "100 routes, B")
    rows = []
    for row in found["peers"]:
        few, many = row["figures"]
        name = row["name"] if row["is_ours"] else f"{row['name']} {row['version']}"
        verifies = "once in `cache_ttl`" if row["remembers"] else "each request"
        told = [number(few[each], "B") for each in ("value", "low", "high")]
        added = (told[0], f"{told[1]} to {told[2]}", number(many["value"], "B"))
        rows.append((name, row["algorithm"], verifies, *added))
    return table(head, rows)


def machine_of(found: Found) -> str:
    machine = {**found["machine"]}
    del machine["date"]
    cpu, system = machine.pop("cpu"), machine.pop("system")
    return f"{cpu}, {system}; {', '.join(' '.join(each) for each in machine.items())}"


def hit_bars(found: Found) -> Iterator[Bar]:
    for figure in found["figures"]:
        if figure["table"] == "hit":
            is_ours = figure["name"].startswith(("perimeter", "dependency"))
            yield Bar(figure["name"], figure["value"], is_ours, figure["limit"])


def peer_bars(found: Found) -> Iterator[Bar]:
    for algorithm in dict.fromkeys(row["algorithm"] for row in found["peers"]):
        yield Bar(f"A token signed with {algorithm}")
        for row in found["peers"]:
            if row["algorithm"] == algorithm:
                yield Bar(row["name"], row["figures"][0]["value"], row["is_ours"])


def plots(found: Found) -> dict[str, str]:
    """Return the plots by the names of their files."""
    drawn = {
        "hit": ("Added CPU where the token is known, in B", [*hit_bars(found)]),
        "peers": ("Added CPU of one guarded route, in B", [*peer_bars(found)]),
    }
    return {
        f"performance-{name}-{theme.name}.svg": svg(title, bars, theme)
        for name, (title, bars) in drawn.items()
        for theme in THEMES
    }


def render(found: Found, words: str) -> str:
    """Return the page: *words* with the figures in their places."""
    return Template(words).substitute(
        bare=f"{found['bare'] * 1e6:.0f}",
        rounds=found["rounds"],
        slow_rounds=found["slow_rounds"],
        date=found["machine"]["date"],
        hit=table_of(found, "hit", "added, B"),
        miss=table_of(found, "miss", "CPU, B"),
        size=table_of(found, "size", "times"),
        throughput=table_of(found, "throughput", "of the unguarded app"),
        peers=peers_table(found),
        machine=machine_of(found),
    )


def pages(found: Found, words: str) -> dict[Path, str]:
    """Return every file that is made of the figures, with its text."""
    files = {DOCS / "images" / name: text for name, text in plots(found).items()}
    return {DOCS / "performance.md": render(found, words), **files}


def main() -> None:
    found = json.loads(RESULTS.read_text())
    for file, text in pages(found, WORDS.read_text()).items():
        file.write_text(text)
        print(f"made {file.relative_to(DOCS.parent)}")


if __name__ == "__main__":
    main()
