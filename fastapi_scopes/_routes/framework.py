"""What is the framework's own code, also where an instrumentation has patched it."""

from typing import Final

__all__ = ["is_framework_code", "runs_framework_code"]

_FRAMEWORKS: Final = frozenset({"starlette", "fastapi"})


def runs_framework_code(instance: object, *names: str) -> bool:
    """Tell whether *instance* has its methods called *names* from classes of the framework.

    Not by the identity of the functions: an instrumentation puts its own around them, which
    call the framework's.
    """
    return not any(name in getattr(instance, "__dict__", {}) for name in names) and all(
        is_framework_code(_definer_of(type(instance), name)) for name in names
    )


def _definer_of(kind: type, name: str) -> type | None:
    return next((each for each in kind.__mro__ if name in vars(each)), None)


def is_framework_code(defined: object) -> bool:
    """Tell whether a class or function is defined in a module of the framework."""
    module: str = getattr(defined, "__module__", None) or ""
    return module.partition(".")[0] in _FRAMEWORKS
