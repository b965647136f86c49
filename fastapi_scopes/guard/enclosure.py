"""The perimeters that one guard puts around apps."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.types import ASGIApp

from fastapi_scopes.authorization import Authorizer
from fastapi_scopes.core.scope_map import ScopeMap
from fastapi_scopes.errors import ConfigurationError
from fastapi_scopes.guard.attachment import process_watch
from fastapi_scopes.guard.documents import KEEP_ONE, GuardDocuments
from fastapi_scopes.perimeter import Perimeter, PerimeterOptions, perimeter_of

__all__ = ["Enclosure"]


@dataclass(frozen=True, slots=True, eq=False)
class Enclosure:
    """Closes apps by *guard*, each of them once, and shows the rules in their documents."""

    guard: object
    scope_map: ScopeMap
    authorizer: Authorizer
    documents: GuardDocuments
    is_guard: Callable[[object], bool]
    end_at_expiry: Callable[[ASGIApp, float], ASGIApp] | None

    def close(self, app: object, options: PerimeterOptions) -> None:
        """Put a perimeter around *app*, or see that it has the same one already.

        Raises:
            ConfigurationError: *app* is no app, is protected or documented already by another
                guard, is protected with other options, or has a router that matches in its own
                way.
        """
        if not isinstance(app, Starlette):
            raise ConfigurationError.of(
                f"protect() takes a FastAPI or Starlette app, not {type(app).__name__!r}",
                "protect the app inside, or mount this one in an app and protect that",
            )
        process_watch.drop(self.guard)
        known = perimeter_of(app)
        if known is None:
            self.documents.require_undocumented(app)
            self._enclose(app, options)
        elif known.guard is not self.guard:
            raise ConfigurationError.of("the app is protected by another guard", KEEP_ONE)
        elif known.options != options:
            raise ConfigurationError.of(
                "the app is protected with other options", "call protect() once"
            )
        else:
            known.entrance()

    def _enclose(self, app: Starlette, options: PerimeterOptions) -> None:
        def on_app_found(inner: Starlette) -> None:
            show(inner)

        perimeter = Perimeter(
            app,
            self.guard,
            scope_map=self.scope_map,
            authorizer=self.authorizer,
            options=options,
            is_guard=self.is_guard,
            on_app_found=on_app_found,
            end_at_expiry=self.end_at_expiry,
        )
        show = self.documents.show_perimeter(perimeter)
        with suppress(ConfigurationError):
            perimeter.find_apps()  # What is wrong in the app is said at the start.
