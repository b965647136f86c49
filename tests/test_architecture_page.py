"""docs/architecture.md tells the truth: its floors, its names, and the order of its walks."""

import asyncio
import re
import sys
from collections.abc import Callable, Iterator
from functools import reduce
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI

import fastapi_scopes
from fastapi_scopes import Claims, ScopeGuard
from tests.apps import make_verifier, mint
from tests.test_architecture import FLOORS

PACKAGE = Path(fastapi_scopes.__file__).parent
PAGE = (PACKAGE.parent / "docs" / "architecture.md").read_text()

# A module, and in the same row of a table a function or class of it.
NAMED = re.compile(r"`([\w/]+\.py)`(?: \|)? `([\w.]+)` \|")


def section(title: str) -> str:
    """The text below the heading *title*, up to the next one."""
    _, text = re.split(rf"^#+ {title}$", PAGE, maxsplit=1, flags=re.MULTILINE)
    return re.split(r"^#", text, maxsplit=1, flags=re.MULTILINE)[0]


def dotted(module: str) -> str:
    return f"fastapi_scopes.{module.removesuffix('.py').replace('/', '.')}"


def floors_of_page() -> Iterator[set[str]]:
    """The floors of the picture, the lowest first."""
    floors: list[str] = []
    for line in re.findall(r"^(?:F\d+|  ) .*", section("The house"), flags=re.MULTILINE):
        number = re.match(r"F(\d+) +(\S.*)", line)
        if number:
            floors.insert(0, number[2])
        elif floors and re.match(r" {5}[\w.]", line):
            floors[0] += f" · {line.strip()}"
    return (set(re.split(r" +· +", floor)) for floor in floors)


def test_floors_of_the_page_are_those_of_the_import_contract() -> None:
    assert list(floors_of_page()) == [set(floor) for floor in FLOORS]
    numbers = re.findall(r"^F(\d+)", section("The house"), flags=re.MULTILINE)
    assert numbers == [str(each) for each in reversed(range(len(FLOORS)))]


@pytest.mark.parametrize("module", sorted(set(re.findall(r"`([\w/]+\.py)`", PAGE))))
def test_module_of_the_page_exists(module: str) -> None:
    assert (PACKAGE / module).is_file()


@pytest.mark.parametrize(("module", "name"), sorted(set(NAMED.findall(PAGE))))
def test_name_of_the_page_is_defined_in_its_module(module: str, name: str) -> None:
    home = import_module(dotted(module))
    assert reduce(getattr, name.split("."), home).__module__ == home.__name__


def app_of(*, protects: bool) -> FastAPI:
    guard = ScopeGuard({"GET /agents/{agent_id}": "agents:read"}, verifier=make_verifier())
    app = FastAPI(openapi_url=None)

    @app.get("/agents/{agent_id}")
    async def agent(agent_id: str, claims: Annotated[Claims, Depends(guard)]) -> str:
        return f"{agent_id} for {claims.sub}"

    return guard.protect(app) if protects else app


async def calls_of_one_request(app: FastAPI, token: str) -> tuple[int, list[tuple[str, str]]]:
    """The status, and every function of the package in the order of its calls."""
    calls: list[tuple[str, str]] = []

    def record(frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            calls.append((frame.f_globals.get("__name__", ""), frame.f_code.co_qualname))

    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://testserver") as client,
    ):
        before: Callable[..., Any] | None = sys.getprofile()
        sys.setprofile(record)
        try:
            headers = {"Authorization": f"Bearer {token}"}
            response = await client.get("/agents/a1", headers=headers)
        finally:
            sys.setprofile(before)
    return response.status_code, calls


@pytest.mark.parametrize(
    ("title", "protects", "is_valid", "status"),
    [
        ("It may pass", True, True, 200),
        ("It may not", True, False, 401),
        ("Without a perimeter", False, True, 200),
    ],
)
def test_request_walks_as_the_page_says(
    title: str, protects: bool, is_valid: bool, status: int
) -> None:
    token = mint("agents:read") if is_valid else "no.token.x"
    answer, calls = asyncio.run(calls_of_one_request(app_of(protects=protects), token))
    rows = re.findall(r"^\| (\d+) " + NAMED.pattern, section(title), flags=re.MULTILINE)
    assert [number for number, _, _ in rows] == [str(each + 1) for each in range(len(rows))]
    steps = [(dotted(module), name) for _, module, name in rows]
    assert (answer, len(steps) >= 5) == (status, True)
    # Each at its first call: a walk that skips ahead and comes back is another walk.
    first = list(dict.fromkeys(call for call in calls if call in steps))
    assert first == list(dict.fromkeys(steps))
