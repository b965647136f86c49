"""Reading and copying JSON values of an OpenAPI document."""

from typing import Any, Final, TypeGuard
from urllib.parse import unquote

__all__ = ["deep_copy", "dereference", "dict_in", "is_dict"]

# The longest chain of references that is followed; a longer one may be a circle.
_DEPTH: Final = 32


def is_dict(value: object) -> TypeGuard[dict[str, Any]]:
    """Tell whether *value* is a JSON object."""
    return isinstance(value, dict)


def deep_copy(value: Any) -> Any:
    """Return a copy of *value* that shares no dict and no list, not even within itself."""
    if isinstance(value, dict):
        return {key: deep_copy(each) for key, each in value.items()}
    return [deep_copy(each) for each in value] if isinstance(value, list | tuple) else value


def dict_in(holder: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the JSON object under *name* in *holder*, where an empty one is put if needed."""
    if not is_dict(holder.get(name)):
        holder[name] = {}
    found: dict[str, Any] = holder[name]
    return found


def dereference(value: object, document: dict[str, Any]) -> dict[str, Any] | None:
    """Return the JSON object that *value* is, or that its ``$ref`` names in *document*, or None."""
    for _ in range(_DEPTH):
        if not is_dict(value):
            return None
        reference = value.get("$ref")
        if not isinstance(reference, str):
            return value
        value = _found(reference, document)
    return None


def _found(reference: str, document: dict[str, Any]) -> object:
    if not reference.startswith("#/"):
        return None
    value: object = document
    for part in reference[2:].split("/"):
        name = unquote(part).replace("~1", "/").replace("~0", "~")
        value = value.get(name) if is_dict(value) else None
    return value
