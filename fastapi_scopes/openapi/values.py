"""JSON values of a document."""

from typing import Any, Final, TypeGuard
from urllib.parse import unquote

__all__ = ["copied", "dict_in", "is_dict", "resolved"]

# So many references are followed; more are nobody's intention.
_DEPTH: Final = 32


def is_dict(value: object) -> TypeGuard[dict[str, Any]]:
    """Tell whether *value* is a JSON object."""
    return isinstance(value, dict)


def copied(value: Any) -> Any:
    """Return a copy of *value* in which nothing stands twice, however it was put together."""
    if isinstance(value, dict):
        return {key: copied(each) for key, each in value.items()}
    return [copied(each) for each in value] if isinstance(value, list | tuple) else value


def dict_in(holder: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the object that *holder* has under *name*, a new one where it has none."""
    if not is_dict(holder.get(name)):
        holder[name] = {}
    found: dict[str, Any] = holder[name]
    return found


def resolved(value: object, document: dict[str, Any]) -> dict[str, Any] | None:
    """Return the object that *value* is or refers to within *document*, or None."""
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
