"""Responses of a guard in an OpenAPI document, and the schemas of their bodies."""

from collections.abc import Mapping
from typing import Any, Final

from fastapi_scopes.core.problems import ProblemCode
from fastapi_scopes.core.requirements import Access
from fastapi_scopes.openapi.values import deep_copy, dereference, dict_in, is_dict

__all__ = ["Refusals"]

_MEDIA_TYPE: Final = "application/problem+json"
_SCOPES: Final = {"type": "array", "items": {"type": "string"}}

# A `Problem`, as JSON Schema of every version that OpenAPI 3 uses.
_REFUSED: Final[Mapping[str, Any]] = {
    "title": "AccessRefused",
    "description": "Why access is refused (RFC 9457).",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"title": "Type", "type": "string", "format": "uri"},
        "title": {"title": "Title", "type": "string"},
        "status": {"title": "Status", "type": "integer"},
        "detail": {"title": "Detail", "type": "string"},
        "code": {"title": "Code", "type": "string", "enum": [each.value for each in ProblemCode]},
        "required": {
            "title": "Required",
            "description": "On insufficient scope: sets of scopes of which one is enough.",
            "type": "array",
            "items": _SCOPES,
        },
    },
}
# Without a type: an application may render its errors as any JSON.
_ERROR: Final[Mapping[str, Any]] = {
    "title": "ApplicationError",
    "description": "What the application itself answers, such as the detail of an HTTPException.",
    "properties": {"detail": {}},
}

_CHALLENGE: Final = {
    "WWW-Authenticate": {
        "description": "The challenge (RFC 6750 3).",
        "schema": {"type": "string"},
    }
}
_RETRY_AFTER: Final = {
    "Retry-After": {
        "description": "Seconds, after which to try again.",
        "schema": {"type": "integer", "minimum": 1},
    }
}
_RESPONSES: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "400": ("Malformed credentials", _CHALLENGE),
    "401": ("No valid access token", _CHALLENGE),
    "403": ("Insufficient scope, or no access for anyone", _CHALLENGE),
    "503": ("Tokens cannot be verified now", _RETRY_AFTER),
}
_WITHOUT_403: Final = frozenset({Access.OPTIONAL, Access.AUTHENTICATED})


class Refusals:
    """Adds the responses of a guard to the operations of one OpenAPI document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._references: dict[str, dict[str, str]] = {}

    def add_to(self, operation: dict[str, Any], access: Access) -> None:
        """Add the responses with which a guard refuses, under a rule of the kind *access*.

        What *operation* itself declares for the same status stays.
        """
        if access is Access.PUBLIC:
            return
        found = operation.get("responses")
        responses = {str(status): each for status, each in found.items()} if is_dict(found) else {}
        for status, (description, headers) in _RESPONSES.items():
            if status != "403" or access not in _WITHOUT_403:
                response = self._declared(responses, status)
                response.setdefault("description", description)
                response["headers"] = _headers(response.get("headers"), headers)
                response["content"] = self._content(response.get("content"))
                responses[status] = deep_copy(response)
        operation["responses"] = responses

    def _declared(self, responses: dict[str, Any], status: str) -> dict[str, Any]:
        # OpenAPI 3.1 4.8.16.1: a named status takes precedence over its range and the default, so
        # it begins as a copy of what they declare.
        known = (responses.get(each) for each in (status, f"{status[0]}XX", "default"))
        found = (dereference(each, self._document) for each in known)
        return next((dict(each) for each in found if each), {})

    def _content(self, found: object) -> dict[str, Any]:
        own = found if is_dict(found) else {}
        media = own.get(_MEDIA_TYPE)
        known = media if is_dict(media) else {}
        schema = _either(known.get("schema"), self._reference_to(_REFUSED))
        content = {**own, _MEDIA_TYPE: {**known, "schema": schema}}
        if not own:
            # Any endpoint may raise an HTTPException of a status that it does not declare.
            content["application/json"] = {"schema": self._reference_to(_ERROR)}
        return content

    def _reference_to(self, schema: Mapping[str, Any]) -> dict[str, str]:
        title = str(schema["title"])
        if title not in self._references:
            schemas = dict_in(dict_in(self._document, "components"), "schemas")
            name, number = title, 1
            while name in schemas and schemas[name] != schema:
                number += 1
                name = f"{title}{number}"
            schemas[name] = deep_copy(schema)
            self._references[title] = {"$ref": f"#/components/schemas/{name}"}
        return self._references[title]


def _headers(found: object, ours: Mapping[str, Any]) -> dict[str, Any]:
    own = found if is_dict(found) else {}
    known = {str(name).lower() for name in own}
    return {**own, **{name: each for name, each in ours.items() if name.lower() not in known}}


def _either(theirs: object, ours: dict[str, str]) -> object:
    if theirs is None:
        return ours
    is_listed = ours in (theirs, *_alternatives_of(theirs))
    return theirs if is_listed else {"anyOf": [theirs, ours]}


def _alternatives_of(schema: object) -> list[Any]:
    found = schema.get("anyOf") if is_dict(schema) else None
    return found if isinstance(found, list) else []
