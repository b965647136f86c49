"""Guarded routers of an AgentOS, for a FastAPI app of your own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from agno.os import AgentOS
from agno.os.router import get_base_router
from agno.os.routers.agents import get_agent_router
from agno.os.routers.memory import get_memory_router
from agno.os.routers.session import get_session_router
from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import Lifespan

from fastapi_scopes.errors import ConfigurationError
from fastapi_scopes.guard import ScopeGuard
from fastapi_scopes.routers import RouterFactory

__all__ = ["AgentOSRouters", "install", "routers"]

# The app answers these itself, with their subclasses (FastAPI has an HTTPException of its own):
# AgentOS's handlers would drop the headers of a refusal.
_KEPT_BY_THE_APP = (HTTPException, RequestValidationError)

# Attributes of the objects themselves, so that each is freed with its object.
_BUILT = "_fastapi_scopes_app"
_INSTALLED = "_fastapi_scopes_agent_os"


class AgentOSRouters(NamedTuple):
    """Guarded routers of one AgentOS; include those that you want."""

    agents: APIRouter
    sessions: APIRouter
    memories: APIRouter
    config: APIRouter


def routers(agent_os: AgentOS, guard: ScopeGuard[Any]) -> AgentOSRouters:
    """Return the routers of *agent_os*, with *guard* on each.

    The guard needs ``bind=bind_principal``; call `install` on the app that includes them.

    Raises:
        ConfigurationError: *agent_os* was made for an app of its own (``base_app=``).
    """
    # Building the app finds the databases that the routers are made with.
    _app_of(agent_os)
    wrap = RouterFactory(guard).wrap
    return AgentOSRouters(
        agents=wrap(
            get_agent_router(agent_os, settings=agent_os.settings, registry=agent_os.registry)
        ),
        sessions=wrap(get_session_router(dbs=agent_os.dbs, media_storage=agent_os.media_storage)),
        memories=wrap(get_memory_router(dbs=agent_os.dbs)),
        config=wrap(get_base_router(agent_os, settings=agent_os.settings)),
    )


def install(app: FastAPI, agent_os: AgentOS) -> FastAPI:
    """Give *app* the state, lifespan and exception handlers that routers of *agent_os* need.

    What *app* has already stays, and its own lifespan runs inside. Calling it again changes
    nothing. Returns *app*.

    Raises:
        ConfigurationError: *app* has another AgentOS, or *agent_os* was made for an app of
            its own (``base_app=``).
    """
    known = getattr(app, _INSTALLED, None)
    if known is agent_os:
        return app
    if known is not None:
        raise ConfigurationError.of("the app has another AgentOS", "give this one its own app")
    built = _app_of(agent_os)
    for name, value in built.state._state.items():
        if not hasattr(app.state, name):
            setattr(app.state, name, value)
    for error, handler in built.exception_handlers.items():
        if _is_agentos_own(error):
            app.exception_handlers.setdefault(error, handler)
    app.router.lifespan_context = _entered_inside(built, app.router.lifespan_context)
    setattr(app, _INSTALLED, agent_os)
    return app


def _is_agentos_own(error: object) -> bool:
    """Tell whether *error* is an exception class that only AgentOS handles, not every app."""
    if not isinstance(error, type) or error is Exception:
        return False
    return not issubclass(error, _KEPT_BY_THE_APP)


def _entered_inside(built: FastAPI, own: Lifespan[Any]) -> Lifespan[Any]:
    """Return a lifespan that enters that of *built*, AgentOS's app, and inside it *own*."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Any]:
        # AgentOS's is entered with the app that runs: it leaves its workers on app.state.
        async with built.router.lifespan_context(app) as theirs, own(app) as mine:
            # None, not an empty dict: with state to carry, a server that carries none fails.
            yield None if theirs is None and mine is None else {**(theirs or {}), **(mine or {})}

    return lifespan


def _app_of(agent_os: AgentOS) -> FastAPI:
    """Return the app that *agent_os* builds; building it finds the databases.

    Raises:
        ConfigurationError: it was made for an app of its own.
    """
    if agent_os.base_app is not None:
        raise ConfigurationError.of("this AgentOS has a base_app", "put Depends(guard) on that app")
    built = getattr(agent_os, _BUILT, None)
    if not isinstance(built, FastAPI):
        built = agent_os.get_app()
        setattr(agent_os, _BUILT, built)
    return built
