"""The entrance of a protected app: where its perimeter decides on every connection."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from fastapi_scopes._routing import (
    Passages,
    RouteTree,
)
from fastapi_scopes.core.problems import UNDECIDED
from fastapi_scopes.errors import ConfigurationProblem
from fastapi_scopes.perimeter.checking import AppCheck
from fastapi_scopes.perimeter.deciding import Decider
from fastapi_scopes.perimeter.overrides import override_problem
from fastapi_scopes.perimeter.startup import (
    SLICE,
    Check,
    Problems,
    run_in_slices,
)
from fastapi_scopes.responses import refuse

__all__ = ["Entrance"]

_log = logging.getLogger("fastapi_scopes")


@dataclass(eq=False, slots=True)
class Entrance:
    """Decides on connections right before the matching of one router of the protected app.

    INVARIANT: it decides by the routes of that router, also where the app has another one by now
    (attacks/test_gates.py).
    """

    app: Starlette
    """The protected app."""
    guard: object
    tree: RouteTree
    decider: Decider
    check: AppCheck
    problems: Problems | None = None
    """What keeps the app from serving with that router; None where it was not checked yet."""
    override_problem: ConfigurationProblem | None = None
    """What is wrong with the override of the guard, which may be taken out again."""
    is_checking: bool = False

    def enter(self, asgi_scope: Scope, receive: Receive, send: Send) -> Awaitable[Passages]:
        """Return the passage of a connection of the app, or None where it was refused."""
        if self.problems == () and self.override_problem is None:
            return self.decider.decide([self.tree.resolve], refuse, asgi_scope, receive, send)
        return self._enter_unchecked(asgi_scope, receive, send)

    async def _enter_unchecked(self, asgi_scope: Scope, receive: Receive, send: Send) -> Passages:
        """Decide as `enter` does, but where the app must be checked first, or may not serve."""
        if self.problems is None:
            await self._check_late()
        if self.override_problem is not None:
            self.override_problem = await override_problem(self.app, self.guard)
        if self.problems or self.override_problem:
            await refuse(UNDECIDED, asgi_scope, receive, send)
            return None
        return await self.decider.decide([self.tree.resolve], refuse, asgi_scope, receive, send)

    async def _check_late(self) -> None:
        # No lifespan ran, so the check runs now; other connections wait for it.
        while self.problems is None:
            if self.is_checking:
                await anyio.sleep(SLICE)
                continue
            self.is_checking = True
            try:
                problems = await self.find_problems(run_in_slices)
            finally:
                self.is_checking = False
            for problem in problems:
                _log.error("%s", problem)

    async def find_problems(self, run: Callable[[Check], Awaitable[Problems]]) -> Problems:
        """Return what keeps the app from serving here; log what does not."""
        self.tree.start_serving()
        found, override = await self.check.problems_in(self.tree, run)
        self.problems, self.override_problem = found, override
        return found if override is None else (*found, override)
