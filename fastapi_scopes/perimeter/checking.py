"""The check of a protected app: finds what keeps it from serving."""

import logging
from collections.abc import Awaitable, Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Final

from starlette.applications import Starlette

from fastapi_scopes._routing import (
    RouteTree,
    has_own_404_handlers,
    is_not_found_patched,
    placed_endpoints,
    protected_endpoints_of,
    reentries_below,
    untaken_in,
)
from fastapi_scopes.authorization import Authorizer, with_docs
from fastapi_scopes.core.coverage import Coverage, covering
from fastapi_scopes.core.endpoints import Endpoint as EndpointOfApp
from fastapi_scopes.core.endpoints import Kind
from fastapi_scopes.core.findings import Finding, FindingCode, Severity
from fastapi_scopes.core.scope_map import ScopeMap
from fastapi_scopes.errors import ConfigurationProblem, collecting
from fastapi_scopes.perimeter.overrides import (
    override_of,
    override_problem,
)
from fastapi_scopes.perimeter.startup import (
    Check,
    PerimeterOptions,
    Problems,
    is_on_asyncio,
)

__all__ = ["AppCheck"]

_log = logging.getLogger("fastapi_scopes")

_CUSTOM_404: Final = Finding.notice(
    FindingCode.CUSTOM_404,
    "the app's own handler answers whoever asks for an unknown path or method",
    "pass hide_unknown=True where that is not for everyone",
)
_REPLACED_404: Final = Finding.notice(
    FindingCode.REPLACED_404,
    "not_found of the framework's routers was replaced, and answers whoever asks for an unknown "
    "path",
    "pass hide_unknown=True where that is not for everyone",
)
_ASYNCIO_ALONE: Final = ConfigurationProblem(
    "end_at_exp=True ends no stream and closes no socket on another event loop than that of "
    "asyncio",
    "serve on asyncio, or leave end_at_exp out",
)
_LEVELS: Final = {Severity.WARNING: logging.WARNING, Severity.NOTICE: logging.INFO}


@dataclass(frozen=True, slots=True, eq=False)
class AppCheck:
    """Checks all endpoints of a protected app, and finds what keeps it from serving."""

    app: Starlette
    guard: object
    scope_map: ScopeMap
    authorizer: Authorizer
    options: PerimeterOptions
    is_guard: Callable[[object], bool]
    on_app_found: Callable[[Starlette], None]
    """Called for every app that is mounted in the protected one."""
    ends_streams: bool

    def covering(self, tree: RouteTree) -> Generator[None, None, Coverage]:
        """Return the coverage of all endpoints in *tree*, with a yield after each."""
        yield from tree.refreshing(anew=True)
        endpoints: list[EndpointOfApp] = []
        for endpoint in protected_endpoints_of(tree, self.guard):
            endpoints.append(endpoint)
            yield
        self._find_apps_in(tree)
        docs = dict.fromkeys(each.template for each in endpoints if each.kind is Kind.DOCS)
        docs_map = with_docs(self.scope_map, self.options.docs, docs)
        coverage = yield from covering(self.scope_map, endpoints, docs_map=docs_map)
        found = [*self._notices(tree), *self.authorizer.findings_on(endpoints)]
        return coverage.with_findings(found)

    def _find_apps_in(self, tree: RouteTree) -> None:
        for index in tree.indexes():
            if isinstance(index.app, Starlette):
                self.on_app_found(index.app)

    def _notices(self, tree: RouteTree) -> Iterable[Finding]:
        yield from untaken_in(placed_endpoints(tree.root), self.is_guard)
        yield from reentries_below(tree.root, self.app)
        if not self.options.hide_unknown and has_own_404_handlers(self.app):
            yield _CUSTOM_404
        if not self.options.hide_unknown and is_not_found_patched(self.app.router):
            yield _REPLACED_404

    async def problems_in(
        self, tree: RouteTree, run: Callable[[Check], Awaitable[Problems]]
    ) -> tuple[Problems, ConfigurationProblem | None]:
        """Return what keeps the app from serving, and what is wrong with its override of the guard.

        What does not keep it from serving is logged.
        """
        found = await run(self._check(tree))
        if self.ends_streams and not is_on_asyncio():
            found += (_ASYNCIO_ALONE,)
        return found, await override_problem(self.app, self.guard)

    def _check(self, tree: RouteTree) -> Check:
        found: list[ConfigurationProblem] = []
        with collecting(found):
            coverage = yield from self.covering(tree)
            found.extend(each.problem for each in coverage.errors)
            for each in coverage.findings:
                if each.severity in _LEVELS:
                    _log.log(_LEVELS[each.severity], "%s", each)
        if override_of(self.app, self.guard) is not self.guard:
            _log.warning("dependency_overrides stands in for the guard; take it out in production")
        if not self.options.strict:
            for problem in found:
                _log.warning("%s", problem)
            found.clear()
        return tuple(found)
