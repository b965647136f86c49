"""The check of a protected app: when it starts, or before its first request."""

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
    "run_at_once",
    "run_in_slices",
]

Problems = tuple[ConfigurationProblem, ...]
"""What keeps an app from serving."""

SLICE: Final = 0.01
"""For how many seconds a check holds the event loop in a row."""


@dataclass(frozen=True, slots=True)
class PerimeterOptions:
    """How a perimeter treats what the map alone does not say."""

    strict: bool = True
    """Whether a gap keeps the app from starting."""
    docs: RequirementLike | None = None
    """What the docs pages ask for that no rule of the map, presets aside, is about."""
    hide_unknown: bool = False
    """Whether only verified callers learn that there is no such route."""

    def require_docs(self) -> None:
        """Return where *docs* is something to ask for.

        Raises:
            ConfigurationError: it is not.
        """
        if self.docs is not None:
            problems: list[ConfigurationProblem] = []
            with collecting(problems, setting="docs"):
                parse_requirement(self.docs)
            ConfigurationError.raise_for(problems)


class Startable(Protocol):
    """What looks at an app before that serves."""

    async def problems_at_start(self) -> Problems:
        """Return what keeps the app from starting; log what does not."""
        ...


@dataclass(frozen=True, slots=True)
class CheckedLifespan:
    """A lifespan that is left again at once where the app has a gap."""

    perimeter: Startable
    lifespan: Callable[[Any], AbstractAsyncContextManager[Any]]

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        # The copy of a router is another router, and not under guard until its app is.
        return copy.deepcopy(self.lifespan, memo)

    @asynccontextmanager
    async def __call__(self, app: Any) -> AsyncIterator[Any]:
        """Enter the app's own lifespan, and leave it again where something is wrong."""
        # The error is raised when the app's own lifespan is left: that cannot swallow it.
        async with self.lifespan(app) as state:
            problems = await self.perimeter.problems_at_start()
            if not problems:
                yield state
        ConfigurationError.raise_for(problems)


Check = Generator[None, None, Problems]
"""Looks at an app, step by step; what it returns keeps the app from serving."""


async def run_at_once(check: Check) -> Problems:
    """Return what *check* finds."""
    return drained(check)


async def run_in_slices(check: Check) -> Problems:
    """Return what *check* finds, the event loop never held for long."""
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
