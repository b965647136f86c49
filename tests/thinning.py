"""Chooses the rows of large products that always run; the others run with ``-m full``.

A test function has axes: each mark ``parametrize`` is one, and so is each argument of a mark that
lists a product itself. A function of more than LARGE rows runs about one row in ONE_IN, chosen by
the hash of its id, and every value of every axis at least once. A table, in which each row has a
value of its own, is therefore never thinned.
"""

import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from math import prod
from typing import Any
from zlib import crc32

import pytest

LARGE = 40
ONE_IN = 6


def rows_that_always_run(rows: Mapping[str, Sequence[Hashable]]) -> set[str]:
    """Return the ids of the *rows* that always run; each row is its value on every axis."""
    in_turn = sorted(rows, key=lambda row: (crc32(row.encode()), row))
    chosen = {row for row in rows if crc32(row.encode()) % ONE_IN == 0}
    met = {value for row in chosen for value in enumerate(rows[row])}
    for row in in_turn:
        values = set(enumerate(rows[row]))
        if not values <= met:
            chosen.add(row)
            met |= values
    return chosen


def axes_of(items: Sequence[pytest.Function]) -> dict[str, tuple[Hashable, ...]]:
    """Return the value on every axis, by the id of each of the *items* of one test function."""
    axes: list[Sequence[Hashable]] = []
    for names in _arguments_by_mark(items[0]):
        columns = [[_key(item.callspec.params[name]) for item in items] for name in names]
        rows = list(zip(*columns, strict=True))
        is_product = 2 * len(set(rows)) > prod(len(set(column)) for column in columns)
        axes.extend(columns if is_product else [rows])
    return {item.nodeid: row for item, row in zip(items, zip(*axes, strict=True), strict=True)}


def _arguments_by_mark(item: pytest.Function) -> list[list[str]]:
    marks = [mark.args[0] for mark in item.iter_markers("parametrize")]
    listed = [re.findall(r"\w+", mark) if isinstance(mark, str) else list(mark) for mark in marks]
    # The rest are parameters of fixtures.
    return listed + [[name] for name in item.callspec.params if name not in chain(*listed)]


def _key(value: Any) -> Hashable:
    try:
        hash(value)
    except TypeError:
        return id(value)
    return type(value), value


def _large_functions(items: Iterable[pytest.Item]) -> Iterator[list[pytest.Function]]:
    functions: dict[str, list[pytest.Function]] = defaultdict(list)
    for item in items:
        if isinstance(item, pytest.Function) and hasattr(item, "callspec"):
            functions[item.nodeid.partition("[")[0]].append(item)
    return (rows for rows in functions.values() if len(rows) > LARGE)


def choose(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the rows that only run with ``-m full``, and take them out of *items* without it.

    Whoever names tests, by `-k` or a node id, means all of their rows.
    """
    names_tests = bool(config.option.keyword) or any("::" in each for each in config.args)
    if names_tests and not config.option.markexpr:
        return
    for rows in _large_functions(items):
        always = rows_that_always_run(axes_of(rows))
        for item in rows:
            if item.nodeid not in always:
                item.add_marker("full")
    if "full" not in config.option.markexpr:
        left_out = [item for item in items if item.get_closest_marker("full")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("full")]
