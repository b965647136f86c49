"""An app that is served without a lifespan is checked before its first request."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.routing import Route

from fastapi_scopes import PUBLIC
from fastapi_scopes.perimeter import perimeter_of
from tests.apps import make_guard
from tests.perimeter.calling import Answer, ask, running
from tests.perimeter.places import PLACES, Place
from tests.perimeter.small import make_app

# More than is checked in one go.
MANY = 4_000
PATHS = [f"/x{number}" for number in range(MANY)]


def app_with(*paths: str, gap: bool = False) -> FastAPI:
    app = make_app("/gap", "/open", *paths)
    rules: dict[str, Any] = {f"GET {path}": "x" for path in paths} | {"GET /open": PUBLIC}
    return make_guard(rules if gap else rules | {"GET /gap": "x"}).protect(app)


class Meanwhile:
    """Counts how often another task runs until the first answer is there."""

    def __init__(self) -> None:
        self.turns = 0
        self.is_over = False

    async def run(self) -> None:
        while not self.is_over:
            self.turns += 1
            await asyncio.sleep(0)

    async def answers(self, app: FastAPI, *paths: str) -> list[Answer]:
        async def asked(path: str) -> Answer:
            answer = await ask(app, "GET", path)
            self.is_over = True
            return answer

        *answers, _ = await asyncio.gather(*map(asked, paths), self.run())
        return answers


def asked_at_once(app: FastAPI, *paths: str) -> tuple[int, list[int]]:
    meanwhile = Meanwhile()
    answers = asyncio.run(meanwhile.answers(app, *paths))
    return meanwhile.turns, [each.status for each in answers]


def test_check_lets_other_tasks_run_in_between() -> None:
    small, _ = asked_at_once(app_with(), "/open")
    large, statuses = asked_at_once(app_with(*PATHS), "/open")
    assert statuses == [200]
    assert large > small + 2


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_routes_are_read_one_at_a_time_wherever_they_are(place: Callable[[], Place]) -> None:
    at = place()
    at.router.routes += [Route(f"/more{number}", running("x")) for number in range(50)]
    make_guard({"* /**": "x"}).protect(at.app)
    perimeter = perimeter_of(at.app)
    assert perimeter is not None
    assert sum(1 for _ in perimeter.tree().refreshing(anew=True)) >= 50


@pytest.mark.parametrize("gap", [False, True], ids=["without a gap", "with a gap"])
def test_requests_that_come_while_it_is_checked_wait_for_what_is_found(gap: bool) -> None:
    app = app_with(*PATHS, gap=gap)
    _, statuses = asked_at_once(app, "/open", "/gap", "/x1", "/open", "/unknown")
    assert statuses == ([503] * 5 if gap else [200, 401, 401, 200, 404])
    # What was found holds for whoever comes later.
    assert asked_at_once(app, "/open")[1] == [503 if gap else 200]
