"""The rules of one guard, as OpenAPI documents show them."""

from collections.abc import Callable
from typing import Final
from weakref import WeakSet

from fastapi import FastAPI
from starlette.applications import Starlette

from fastapi_scopes._routing import RouteTree
from fastapi_scopes.authorization import Rulebook
from fastapi_scopes.errors import ConfigurationError
from fastapi_scopes.openapi import (
    CurrentScheme,
    DependencyMountPoints,
    ProtectedMountPoints,
    RuleOfOther,
    View,
    document,
    documenting,
)
from fastapi_scopes.perimeter import Perimeter

__all__ = ["KEEP_ONE", "GuardDocuments"]

KEEP_ONE: Final = "keep one of the two"


class GuardDocuments:
    """Shows the rules of *guard* in the documents of apps, each app by one guard alone."""

    def __init__(
        self,
        guard: object,
        scheme: CurrentScheme,
        *,
        is_guard: Callable[[object], bool],
        rule_of_other: RuleOfOther,
    ) -> None:
        self._guard = guard
        self._scheme = scheme
        self._is_guard = is_guard
        self._rule_of_other = rule_of_other
        self._apps: WeakSet[FastAPI] = WeakSet()

    def __contains__(self, app: object) -> bool:
        """Tell whether the document of *app* was asked for, and not only by `protect`."""
        return isinstance(app, FastAPI) and app in self._apps

    def require_undocumented(self, app: Starlette) -> None:
        """Return where no other guard documents *app*.

        Raises:
            ConfigurationError: another guard does.
        """
        known = documenting(app) if isinstance(app, FastAPI) else None
        if known is not None and known.guard_of() not in {None, self._guard}:
            raise ConfigurationError.of("the app is documented by another guard", KEEP_ONE)

    def show_dependencies(
        self, app: object, rules: Rulebook, tree_of: Callable[[Starlette], RouteTree]
    ) -> None:
        """Show *rules* where the guard is a dependency in *app*, or in an app mounted there.

        Raises:
            ConfigurationError: *app* is no FastAPI app, or another guard documents it.
        """
        if not isinstance(app, FastAPI):
            raise ConfigurationError.of(
                f"document() takes a FastAPI app, not {type(app).__name__!r}",
                "leave it out: other apps have no OpenAPI document",
            )
        self.require_undocumented(app)
        self._apps.add(app)
        places = DependencyMountPoints(app, self._guard, tree_of)
        view = self._view(rules, places, app, is_perimeter=False)
        document(places.apps(), self._guard, view)

    def show_perimeter(self, perimeter: Perimeter) -> Callable[[Starlette], None]:
        """Return a function that shows the rules of *perimeter* in the document of an app."""
        places = ProtectedMountPoints(perimeter.tree)
        view = self._view(perimeter.rules, places, perimeter.app, is_perimeter=True)

        def show(app: Starlette) -> None:
            if isinstance(app, FastAPI):
                document([app], perimeter, view)

        return show

    def _view(
        self,
        rules: Rulebook,
        places: DependencyMountPoints | ProtectedMountPoints,
        root: Starlette,
        *,
        is_perimeter: bool,
    ) -> View:
        return View(
            self._guard,
            self._scheme,
            rules.rule_for,
            places,
            root=root,
            is_perimeter=is_perimeter,
            rule_of_other=self._rule_of_other,
            is_guard=self._is_guard,
        )
