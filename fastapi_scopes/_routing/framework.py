"""Tells the framework's own code from other code, by the functions that run."""

import sys
import types
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType
from typing import Any, Final
from weakref import WeakKeyDictionary, ref

__all__ = [
    "OWN",
    "attribute_of",
    "computes",
    "is_body_limit",
    "is_framework_function",
    "is_plumbing",
    "is_transparent",
    "runs_framework_code",
    "subclass_of",
    "wraps_framework_code",
]

_FRAMEWORKS: Final = frozenset({"starlette", "fastapi"})

OWN: Final = "__fastapi_scopes__"
"""Marks a class of this package that replaces a class of routes or routers."""

# Weak: what a class defines may refer to the class, and would keep it alive.
_bases: WeakKeyDictionary[type, Sequence["ref[type]"]] = WeakKeyDictionary()

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
# Middleware that passes requests to the app that it wraps, and to no other.
_TRANSPARENT: Final = _PLUMBING | {
    ("starlette.middleware.authentication", "AuthenticationMiddleware"),
    ("starlette.middleware.cors", "CORSMiddleware"),
    ("starlette.middleware.gzip", "GZipMiddleware"),
    ("starlette.middleware.httpsredirect", "HTTPSRedirectMiddleware"),
    ("starlette.middleware.sessions", "SessionMiddleware"),
    ("starlette.middleware.trustedhost", "TrustedHostMiddleware"),
    ("mcp.server.auth.middleware.auth_context", "AuthContextMiddleware"),
    ("uvicorn.middleware.proxy_headers", "ProxyHeadersMiddleware"),
}


def is_framework_function(function: object) -> bool:
    """Tell whether *function* was compiled in the framework.

    Its name would not tell: a wrapper may bear the name of the function that it wraps.
    """
    # Not isinstance: a proxy passes for the object that it wraps.
    if type(function) is not FunctionType:
        return False
    return str(function.__globals__.get("__name__")).partition(".")[0] in _FRAMEWORKS


def defined_for(instance: object, name: str) -> Sequence[object]:
    """Return the definitions of *name* in the classes of *instance*, the nearest first.

    Empty where *name* was set on *instance* itself. Classes of this package are left out: they
    call the class that they replace.
    """
    if name in getattr(instance, "__dict__", {}):
        return ()
    return _defined_by_classes(instance, name)


def _defined_by_classes(instance: object, name: str) -> Sequence[object]:
    kind = type(instance)
    known = _bases.get(kind)
    if known is None:
        bases = (each for each in kind.__mro__ if OWN not in vars(each) and each is not object)
        known = _bases[kind] = [ref(each) for each in bases]
    found: list[object] = []
    for reference in known:
        namespace: Mapping[str, object] = reference().__dict__
        if name in namespace:
            found.append(namespace[name])
    return found


def runs_framework_code(instance: object, *names: str) -> bool:
    """Tell whether the methods *names* of *instance* are the framework's own functions.

    So must be the methods that they could call by `super()`.
    """
    return all(_are_all(_is_frameworks_own, instance, name) for name in names)


def wraps_framework_code(instance: object, *names: str) -> bool:
    """Tell whether the methods *names* are the framework's own, or instrumented by wrappers."""
    return all(_are_all(_is_wrapped, instance, name) for name in names)


def _are_all(is_one: Callable[[object, str], bool], instance: object, name: str) -> bool:
    defined = defined_for(instance, name)
    return bool(defined) and all(is_one(each, name) for each in defined)


def _is_wrapped(function: object, name: str) -> bool:
    for _ in range(8):
        if function is None or _is_frameworks_own(function, name):
            break
        function = attribute_of(function, "__wrapped__")
    return _is_frameworks_own(function, name)


def _is_frameworks_own(function: object, name: str) -> bool:
    return is_framework_function(function) and attribute_of(function, "__name__") == name


def computes(instance: object, *names: str) -> bool:
    """Tell whether code that is not the framework's computes one of the attributes *names*.

    A computed attribute may differ whenever it is read.
    """
    found = (_defined_by_classes(instance, name) for name in names)
    nearest = [each[0] for each in found if each]
    return any(hasattr(each, "__get__") and not _is_read_plainly(each) for each in nearest)


def _is_read_plainly(descriptor: object) -> bool:
    return isinstance(descriptor, property) and is_framework_function(descriptor.fget)


def subclass_of(
    kind: type, known: WeakKeyDictionary[type, "ref[type]"], defined: Mapping[str, object]
) -> Any:
    """Return the subclass of *kind*, with its name, that replaces it and also has *defined*.

    *kind* is its only base: with another, Python would not let an instance change its class.
    *known* keeps the subclass as long as it is used.
    """
    reference = known.get(kind)
    made = reference() if reference is not None else None
    if made is None:
        named = {"__module__": kind.__module__, "__qualname__": kind.__qualname__}
        namespace = {**named, **defined, OWN: True}
        made = types.new_class(kind.__name__, (kind,), exec_body=lambda own: own.update(namespace))
        known[kind] = ref(made)
    return made


def attribute_of(instance: object, name: str) -> Any:
    """Return an attribute of *instance*, or None where there is none or reading it fails."""
    try:
        return getattr(instance, name, None)
    except Exception:  # noqa: BLE001 - the developer's code may raise anything
        return None


def is_body_limit(layer: object) -> bool:
    """Tell whether *layer* is the framework's own limit of request bodies."""
    return _is_one_of(_BODY_LIMITS, layer)


def is_plumbing(layer: object) -> bool:
    """Tell whether *layer* is middleware that the framework itself puts around each app."""
    return _is_one_of(_PLUMBING, layer)


def is_transparent(layer: object) -> bool:
    """Tell whether *layer* passes requests to its ``app`` and to no other, or answers itself."""
    return _is_one_of(_TRANSPARENT, layer)


def _is_one_of(names: frozenset[tuple[str, str]], layer: object) -> bool:
    kind = type(layer)
    # Not by its name alone, which any class may have; nor by its class alone, which may be patched.
    return (
        (kind.__module__, kind.__name__) in names
        and getattr(sys.modules.get(kind.__module__), kind.__name__, None) is kind
        and _is_of_its_module(vars(kind).get("__call__"), kind.__module__)
    )


def _is_of_its_module(function: object, module: str) -> bool:
    while type(function) is not FunctionType:
        function = attribute_of(function, "__wrapped__")
        if function is None:
            return False
    return function.__globals__.get("__name__") == module
