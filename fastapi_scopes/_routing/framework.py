"""What is the framework's own code, asked of the functions that decide."""

import sys
from collections.abc import Mapping, Sequence
from types import FunctionType
from typing import Any, Final
from weakref import WeakKeyDictionary

__all__ = [
    "OWN",
    "attribute_of",
    "computes",
    "function_of",
    "is_body_limit",
    "is_framework_function",
    "is_plumbing",
    "is_transparent",
    "runs_framework_code",
    "wraps_framework_code",
]

_FRAMEWORKS: Final = frozenset({"starlette", "fastapi"})

OWN: Final = "__fastapi_scopes__"
"""Marks a class of ours that takes the place of a class of routes or routers."""

_namespaces: WeakKeyDictionary[type, Sequence[Mapping[str, object]]] = WeakKeyDictionary()

# By name: versions differ in which of them they have.
_BODY_LIMITS: Final = frozenset(
    {
        ("starlette.middleware.body_limit", "RequestBodyLimitMiddleware"),
        ("fastapi._body_limit", "AppBodyLimitMiddleware"),
        ("fastapi._body_limit", "_BodyLimitExceptionMiddleware"),
    }
)
_PLUMBING: Final = _BODY_LIMITS | {
    ("starlette.middleware.errors", "ServerErrorMiddleware"),
    ("starlette.middleware.exceptions", "ExceptionMiddleware"),
    ("fastapi.middleware.asyncexitstack", "AsyncExitStackMiddleware"),
    ("fastapi.telemetry._asgi", "ExceptionTelemetryMiddleware"),
}
# What these let pass goes to the app that they wrap, and to no other.
_TRANSPARENT: Final = _PLUMBING | {
    ("starlette.middleware.authentication", "AuthenticationMiddleware"),
    ("starlette.middleware.cors", "CORSMiddleware"),
    ("starlette.middleware.gzip", "GZipMiddleware"),
    ("starlette.middleware.httpsredirect", "HTTPSRedirectMiddleware"),
    ("starlette.middleware.sessions", "SessionMiddleware"),
    ("starlette.middleware.trustedhost", "TrustedHostMiddleware"),
}


def is_framework_function(function: object) -> bool:
    """Tell whether *function* is written in the framework.

    By where it was compiled: a wrapper may bear the names of what it wraps.
    """
    if not isinstance(function, FunctionType):
        return False
    return str(function.__globals__.get("__name__")).partition(".")[0] in _FRAMEWORKS


def function_of(instance: object, name: str) -> object:
    """Return the function that the class of *instance* has for *name*, or None.

    None is also for what was set on *instance* itself. Classes of ours are passed over: they call
    what they took the place of.
    """
    is_set = name in getattr(instance, "__dict__", {})
    return None if is_set else _in_class(type(instance), name)


def _in_class(kind: type, name: str) -> object:
    return next((each[name] for each in _namespaces_of(kind) if name in each), None)


def _namespaces_of(kind: type) -> Sequence[Mapping[str, object]]:
    """Return what *kind* and its bases define, as it is whenever that is looked at."""
    known = _namespaces.get(kind)
    if known is None:
        known = [vars(each) for each in kind.__mro__ if OWN not in vars(each)]
        _namespaces[kind] = known
    return known


def runs_framework_code(instance: object, *names: str) -> bool:
    """Tell whether the methods *names* of *instance* are the framework's own functions."""
    return all(_is_frameworks_own(function_of(instance, name), name) for name in names)


def wraps_framework_code(instance: object, *names: str) -> bool:
    """Tell whether they are, or are what an instrumentation put around them."""
    return all(_is_wrapped(function_of(instance, name), name) for name in names)


def _is_wrapped(function: object, name: str) -> bool:
    for _ in range(8):
        if function is None or _is_frameworks_own(function, name):
            break
        function = attribute_of(function, "__wrapped__")
    return _is_frameworks_own(function, name)


def _is_frameworks_own(function: object, name: str) -> bool:
    return is_framework_function(function) and attribute_of(function, "__name__") == name


def computes(instance: object, *names: str) -> bool:
    """Tell whether code that is not the framework's makes one of the attributes *names* anew.

    Such an attribute may be another whenever it is read.
    """
    found = (_in_class(type(instance), name) for name in names)
    return any(hasattr(each, "__get__") and not _is_read_plainly(each) for each in found)


def _is_read_plainly(descriptor: object) -> bool:
    return isinstance(descriptor, property) and is_framework_function(descriptor.fget)


def attribute_of(instance: object, name: str) -> Any:
    """Return an attribute of *instance*, or None where there is none or it cannot be read."""
    try:
        return getattr(instance, name, None)
    except Exception:  # noqa: BLE001 - the developer's code: of which type is anybody's guess
        return None


def is_body_limit(layer: object) -> bool:
    """Tell whether *layer* is the framework's own limit of bodies, which answers nothing else."""
    return _is_one_of(_BODY_LIMITS, layer)


def is_plumbing(layer: object) -> bool:
    """Tell whether *layer* is what the framework puts around each app by itself."""
    return _is_one_of(_PLUMBING, layer)


def is_transparent(layer: object) -> bool:
    """Tell whether *layer* passes connections on to its ``app``, or to nobody."""
    return _is_one_of(_TRANSPARENT, layer)


def _is_one_of(names: frozenset[tuple[str, str]], layer: object) -> bool:
    kind = type(layer)
    # Not by its name alone, which any class may have; nor by its class alone, which may be patched.
    is_named = (kind.__module__, kind.__name__) in names
    return (
        is_named
        and getattr(sys.modules.get(kind.__module__), kind.__name__, None) is kind
        and wraps_framework_code(layer, "__call__")
    )
