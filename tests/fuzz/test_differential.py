"""Whatever is asked of whatever application, what runs runs under its own rule.

The short run of `python -m tests.fuzz`; which application a failure is of, it says itself.
"""

import asyncio

import pytest

from tests.fuzz import differential as fuzz
from tests.fuzz.differential import Report, ask_application

# Besides the first ones, those in which something was wrong once.
KNOWN = (305, 402, 573, 723, 1086, 1226, 1971, 2399, 2757, 3811, 4194, 4834, 9827)
SEEDS = (*range(100), *KNOWN)

KINDS = {
    *("api", "api socket", "plain", "any", "socket", "opaque", "files", "frontend", "docs"),
    *("default", "host", "catching", "dual", "answer"),
}


@pytest.fixture(scope="module")
def report() -> Report:
    async def ask() -> Report:
        report = Report()
        for seed in SEEDS:
            await ask_application(seed, report)
        return report

    return asyncio.run(ask())


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(fuzz.UNSAFE, id="runs under another template than the verdict's"),
        pytest.param(fuzz.MISSED, id="runs and is not what the resolver alone finds"),
        pytest.param(fuzz.WRONG_REFUSAL, id="is open to all and refused"),
        pytest.param(fuzz.BROKE, id="is an error of the server"),
        pytest.param(fuzz.DIFFERENT, id="is answered otherwise than without a perimeter"),
        pytest.param(fuzz.UNSEEN, id="is in an app and not in its coverage"),
    ],
)
def test_nothing_in_a_random_application(report: Report, kind: str) -> None:
    failures = [failure for failure in report.failures if failure.kind == kind]
    assert not failures, str(failures[0])


def test_random_requests_get_to_endpoints_of_every_kind(report: Report) -> None:
    assert report.counts[fuzz.REQUESTS] == len(SEEDS) * fuzz.PER_APPLICATION
    assert report.counts[fuzz.RAN] > report.counts[fuzz.REQUESTS] / 4
    assert set(report.reached) == KINDS


def test_random_requests_are_refused_where_a_gate_is_needed(report: Report) -> None:
    assert report.counts[fuzz.BY_DESIGN] == report.counts[fuzz.REFUSED] > 0


def test_same_seed_asks_the_same_again() -> None:
    first, second = Report(), Report()
    for report in (first, second):
        asyncio.run(ask_application(7, report))
    assert (first.counts, first.reached) == (second.counts, second.reached)
