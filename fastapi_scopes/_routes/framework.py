"""What is the framework's own code, also where an instrumentation has patched it."""

import sys
from typing import Any, Final

__all__ = [
    "attribute_of",
    "computes",
    "is_body_limit",
    "is_framework_code",
    "is_plumbing",
    "runs_framework_code",
]

_FRAMEWORKS: Final = frozenset({"starlette", "fastapi"})

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


def runs_framework_code(instance: object, *names: str) -> bool:
    """Tell whether *instance* has its methods called *names* from classes of the framework.

    Not by the identity of the functions: an instrumentation puts its own around them, which
    call the framework's.
    """
    return not any(name in getattr(instance, "__dict__", {}) for name in names) and all(
        is_framework_code(_definer_of(type(instance), name)) for name in names
    )


def computes(instance: object, *names: str) -> bool:
    """Tell whether a class that is not the framework's makes one of the attributes *names* anew.

    Such an attribute may be another whenever it is read.
    """
    definers = ((_definer_of(type(instance), name), name) for name in names)
    return any(
        definer is not None
        and not is_framework_code(definer)
        and hasattr(vars(definer)[name], "__get__")
        for definer, name in definers
    )


def attribute_of(instance: object, name: str) -> Any:
    """Return an attribute of *instance*, or None where there is none or it cannot be read."""
    try:
        return getattr(instance, name, None)
    except Exception:  # noqa: BLE001 - the developer's code: of which type is anybody's guess
        return None


def _definer_of(kind: type, name: str) -> type | None:
    return next((each for each in kind.__mro__ if name in vars(each)), None)


def is_body_limit(layer: object) -> bool:
    """Tell whether *layer* is the framework's own limit of bodies, which answers nothing else."""
    return _is_one_of(_BODY_LIMITS, layer)


def is_plumbing(layer: object) -> bool:
    """Tell whether *layer* is what the framework puts around each app by itself."""
    return _is_one_of(_PLUMBING, layer)


def _is_one_of(names: frozenset[tuple[str, str]], layer: object) -> bool:
    module, name = type(layer).__module__, type(layer).__name__
    # Not by its name alone, which any class may have.
    named = getattr(sys.modules.get(module), name, None)
    return (module, name) in names and named is type(layer)


def is_framework_code(defined: object) -> bool:
    """Tell whether a class or function is defined in a module of the framework."""
    module: str = getattr(defined, "__module__", None) or ""
    return module.partition(".")[0] in _FRAMEWORKS
