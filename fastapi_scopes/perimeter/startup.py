"""Runs the check of a protected app: when the app starts, or before its first request."""

import asyncio
import copy
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final, Protocol

import anyio
import anyio.lowlevel

from fastapi_scopes.core.requirements import RequirementLike, parse_requirement
from fastapi_scopes.core.steps import drained
from fastapi_scopes.errors import ConfigurationError, ConfigurationProblem, collecting

__all__ = [
    "SLICE",
    "Check",
    "CheckedLifespan",
    "PerimeterOptions",
    "Problems",
    "Startable",
    "is_on_asyncio",
    "run_at_once",
    "run_in_slices",
]

Problems = tuple[ConfigurationProblem, ...]
"""What keeps an app from serving."""

SLICE: Final = 0.01
"""The seconds for which a check holds the event loop in a row."""


@dataclass(frozen=True, slots=True)
class PerimeterOptions:
    """The options of a perimeter, about what the map alone does not say."""

    strict: bool = True
    """Whether a gap keeps the app from starting."""
    docs: RequirementLike | None = None
    """The requirement for docs pages that no rule of the map, presets aside, is for."""
    hide_unknown: bool = False
    """Whether only verified callers learn that a path or a method has no route."""
    warm_up: bool = True
    """Whether the start asks for the keys of the verifier."""

    def require_docs(self) -> None:
        """Raise where *docs* is no requirement.

        Raises:
            ConfigurationError: *docs* is no requirement.
        """
        if self.docs is not None:
            problems: list[ConfigurationProblem] = []
            with collecting(problems, setting="docs"):
                parse_requirement(self.docs)
            ConfigurationError.raise_for(problems)


class Startable(Protocol):
    """A perimeter that can check its app before the app serves."""

    async def problems_at_start(self) -> Problems:
        """Check the app; return what keeps it from starting, and log what does not."""
        ...

    async def warm_up(self) -> None:
        """Have the verifier ask for its keys; what goes wrong keeps nothing from starting."""
        ...

    async def flush(self) -> None:
        """Have the log and the hook learn of all decisions, before the app ends."""
        ...


@dataclass(frozen=True, slots=True)
class CheckedLifespan:
    """The lifespan of an app, left again at once where the check finds a problem."""

    perimeter: Startable
    lifespan: Callable[[Any], AbstractAsyncContextManager[Any]]

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        # The copy of a router is another router, which is not checked until its app is protected.
        return copy.deepcopy(self.lifespan, memo)

    @asynccontextmanager
    async def __call__(self, app: Any) -> AsyncIterator[Any]:
        """Enter the app's own lifespan and check the app; leave it where a problem is found."""
        # The error is raised when the app's own lifespan is left: that cannot swallow it.
        async with self.lifespan(app) as state:
            problems = await self.perimeter.problems_at_start()
            if not problems:
                await self.perimeter.warm_up()
                try:
                    yield state
                finally:
                    # Before the app's own lifespan ends, as the hook may need what that opened.
                    await self.perimeter.flush()
        ConfigurationError.raise_for(problems)


Check = Generator[None, None, Problems]
"""A check of an app, which yields after each step and returns what keeps the app from serving."""


async def run_at_once(check: Check) -> Problems:
    """Run *check* without a break, and return what it finds."""
    return drained(check)


async def run_in_slices(check: Check) -> Problems:
    """Run *check* with breaks for the event loop, and return what it finds."""
    began = perf_counter()
    while True:
        try:
            next(check)
        except StopIteration as end:
            found: Problems = end.value
            return found
        if perf_counter() - began > SLICE:
            await anyio.lowlevel.checkpoint()
            began = perf_counter()


def is_on_asyncio() -> bool:
    """Tell whether the event loop is that of asyncio."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
