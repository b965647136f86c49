"""Attacks by known routes that change in themselves: another path, another pattern."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.routing import APIRoute
from starlette.routing import Match, Mount, Route, Router, compile_path
from starlette.types import Scope

from tests.perimeter.calling import NOT_FOUND, Guarded, call, running
from tests.perimeter.places import PLACES


def secret(path: str = "/secret") -> Route:
    return Route(path, running("secret"))


def assert_secret_is_kept(guarded: Guarded, path: str, **options: Any) -> None:
    """Nothing of the secret endpoint comes back to who has not its scope."""
    for scopes in (None, guarded.scopes - {"secret"}):
        assert call(guarded.app, "GET", path, scopes, **options).ran != "secret"


def moved(route: Any) -> None:
    """Let *route* answer at another path, as if it had been made so."""
    route.path = "/secret"
    route.path_regex, route.path_format, route.param_convertors = compile_path("/secret")


def rerouted(route: Any) -> None:
    route.path_regex = compile_path("/secret")[0]


def matching_all(route: Any) -> None:
    def matches(scope: Scope) -> tuple[Match, Scope]:
        return Match.FULL, {"endpoint": route.endpoint}

    route.matches = matches


@pytest.mark.parametrize("place", ["of the app", "mounted Router", "of a mounted app"])
@pytest.mark.parametrize("change", [moved, rerouted, matching_all])
@pytest.mark.parametrize("kind", [Route, APIRoute])
def test_known_route_that_moves_is_not_open_where_it_was_not(
    kind: type[Route], change: Callable[[Any], None], place: str
) -> None:
    """What was there before is unknown: the framework's own 404, for which no one is asked."""
    at = PLACES[place]()
    route = kind("/elsewhere", running("secret"))
    at.router.routes[:] = [route]
    rules = {f"GET {at.prefix}/elsewhere": "secret", f"GET {at.prefix}/secret": "secret"}
    guarded = Guarded(at.app, rules)
    path = f"{at.prefix}/secret"
    assert guarded.outcome("GET", path) == NOT_FOUND
    change(route)
    assert_secret_is_kept(guarded, path)


@pytest.mark.parametrize("place", ["of the app", "mounted Router", "of a mounted app"])
def test_mount_that_moves_is_not_open_where_it_was_not(place: str) -> None:
    at = PLACES[place]()
    mount = Mount("/elsewhere", Router([secret()]))
    at.router.routes[:] = [mount]
    guarded = Guarded(at.app, {f"GET {at.prefix}/elsewhere/secret": "secret"})
    path = f"{at.prefix}/m/secret"
    assert guarded.outcome("GET", path) == NOT_FOUND
    mount.path = "/m"
    mount.path_regex, mount.path_format, mount.param_convertors = compile_path("/m/{path:path}")
    assert_secret_is_kept(guarded, path)
