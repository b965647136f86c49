"""A document, rewritten: what each operation asks for, by the rules of a map."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from fastapi_scopes.core.requirements import Access, Requirement
from fastapi_scopes.openapi.problems import SCHEMA, add_responses
from fastapi_scopes.openapi.schemes import BearerScheme, lives_in_authorization
from fastapi_scopes.openapi.values import copied, dict_in, is_dict, resolved

__all__ = ["RequirementOf", "rewritten"]

RequirementOf = Callable[[str, str], Requirement | None]
"""What an operation asks for, by its path and its method; None where nobody decides."""

Entry = dict[str, list[str]]
"""A security requirement: schemes, all of them, each with scopes."""

# OpenAPI 3.1 4.8.9.1: of a path item all else is an operation.
_FIELDS: Final = frozenset(
    {"$ref", "summary", "description", "servers", "parameters", "additionalOperations"}
)
_DENIED: Final = "x-denied"
_REQUIRED: Final = "x-required-scopes"


@dataclass(frozen=True, slots=True)
class _Operation:
    method: str
    value: dict[str, Any]


def rewritten(
    base: dict[str, Any], scheme: BearerScheme, requirement_of: RequirementOf
) -> dict[str, Any]:
    """Return a copy of *base* in which each operation says what *requirement_of* says of it.

    A document that is none of OpenAPI 3 stays as it is.
    """
    document: dict[str, Any] = copied(base)
    paths = document.get("paths") if is_dict(document) else None
    if not is_dict(paths) or not str(document.get("openapi")).startswith("3."):
        return document
    _spread_root_security(document)
    decided: list[tuple[_Operation, Requirement]] = []
    left: list[_Operation] = []
    for path, item in paths.items():
        for operation in _operations_in(item, document):
            requirement = requirement_of(str(path), operation.method)
            if requirement is None:
                left.append(operation)
            else:
                decided.append((operation, requirement))
    if decided:
        _Rewriting(document, scheme, left).run(decided)
    return document


class _Rewriting:
    """Writes into one document."""

    def __init__(
        self, document: dict[str, Any], scheme: BearerScheme, left: list[_Operation]
    ) -> None:
        self._document = document
        self._components = dict_in(document, "components")
        self._schemes = dict_in(self._components, "securitySchemes")
        self._scheme = scheme
        self._left = [*left, *_outgoing_in(document)]
        self._name = self._free_name()

    def run(self, decided: list[tuple[_Operation, Requirement]]) -> None:
        """Write what was *decided*."""
        reference = self._reference_to_schema()
        asked: set[str] = set()
        for operation, requirement in decided:
            asked.update(each for alternative in requirement.alternatives for each in alternative)
            self._write(operation.value, requirement)
            add_responses(
                operation.value,
                requirement.access,
                reference=reference,
                document=self._document,
            )
        used = _names_in([*self._left, *(operation for operation, _ in decided)])
        self._drop_unused(used)
        self._schemes[self._name] = self._scheme.definition(asked)

    def _write(self, operation: dict[str, Any], requirement: Requirement) -> None:
        for name in (_DENIED, _REQUIRED):
            operation.pop(name, None)
        ours = list(self._entries(requirement))
        others = self._others_of(_entries_of(operation))
        joined = [_joined(entry, other) for entry in ours for other in others]
        distinct = [each for i, each in enumerate(joined) if each not in joined[:i]]
        # That nothing is asked for is said by an empty list.
        operation["security"] = [] if distinct == [{}] else distinct
        if requirement.access is Access.DENY:
            operation[_DENIED] = True
        if requirement.alternatives and self._scheme.is_http:
            operation[_REQUIRED] = [list(each) for each in requirement.alternatives]

    def _entries(self, requirement: Requirement) -> Iterator[Entry]:
        if requirement.access in {Access.PUBLIC, Access.OPTIONAL}:
            yield {}
        if requirement.access is Access.SCOPES:
            # OpenAPI 3.0 4.8.30: only schemes with scopes of their own may hold some.
            is_mute = self._scheme.is_http and str(self._document["openapi"]).startswith("3.0")
            yield from (
                {self._name: [] if is_mute else list(each)} for each in requirement.alternatives
            )
        elif requirement.access is not Access.PUBLIC:
            yield {self._name: []}

    def _others_of(self, entries: list[Entry]) -> list[Entry]:
        """Return what is asked for beside the token: all of it, since FastAPI lists it singly."""
        kept: Entry = {}
        for entry in entries:
            for name, scopes in entry.items():
                if not self._is_replaced(name):
                    kept[name] = list(dict.fromkeys([*kept.get(name, []), *scopes]))
        if not kept:
            return [{}]
        return [{}, kept] if {} in entries else [kept]

    def _is_replaced(self, name: str) -> bool:
        return lives_in_authorization(resolved(self._schemes.get(name), self._document))

    def _free_name(self) -> str:
        """Return the name of the scheme, or one like it where another scheme has it."""
        used = _names_in(self._left)
        name, number = self._scheme.name, 1
        while name in self._schemes:
            is_ours = self._schemes[name] == self._scheme.native
            if is_ours or (self._is_replaced(name) and name not in used):
                break
            number += 1
            name = f"{self._scheme.name}{number}"
        return name

    def _reference_to_schema(self) -> str:
        schemas = dict_in(self._components, "schemas")
        name, number = str(SCHEMA["title"]), 1
        while name in schemas and schemas[name] != SCHEMA:
            number += 1
            name = f"{SCHEMA['title']}{number}"
        schemas[name] = copied(SCHEMA)
        return f"#/components/schemas/{name}"

    def _drop_unused(self, used: set[str]) -> None:
        referred = {str(each.get("$ref")) for each in self._schemes.values() if is_dict(each)}
        for name in list(self._schemes):
            is_used = name in used or f"#/components/securitySchemes/{name}" in referred
            if not is_used and self._is_replaced(name):
                del self._schemes[name]


def _joined(entry: Entry, other: Entry) -> Entry:
    return {**{name: list(scopes) for name, scopes in entry.items()}, **other}


def _entries_of(operation: dict[str, Any]) -> list[Entry]:
    """Return the security requirements of *operation*, as far as they are some."""
    found = operation.get("security")
    entries = [each for each in found if is_dict(each)] if isinstance(found, list) else []
    return [{name: _texts_in(scopes) for name, scopes in each.items()} for each in entries]


def _texts_in(scopes: object) -> list[str]:
    return [each for each in scopes if isinstance(each, str)] if isinstance(scopes, list) else []


def _names_in(operations: Iterable[_Operation]) -> set[str]:
    return {name for each in operations for entry in _entries_of(each.value) for name in entry}


def _operations_in(item: object, document: dict[str, Any]) -> Iterator[_Operation]:
    """Yield the operations of a path item; one that is elsewhere in *document* is brought here."""
    if not is_dict(item):
        return
    there = resolved(item, document)
    if there is None:
        # What is in another document is not this app's to say.
        return
    if there is not item:
        item.pop("$ref")
        item.update({**copied(there), **item})
    yield from _operations_of(item)


def _operations_of(item: dict[str, Any]) -> Iterator[_Operation]:
    more = item.get("additionalOperations")
    for operations in (item, more if is_dict(more) else {}):
        for method, value in operations.items():
            name = str(method)
            if name not in _FIELDS and not name.startswith("x-") and is_dict(value):
                yield _Operation(name.upper() if operations is item else name, value)


def _outgoing_in(document: dict[str, Any]) -> list[_Operation]:
    """Return the operations of others, which the app calls: webhooks and callbacks."""
    webhooks = document.get("webhooks")
    items: list[object] = [*webhooks.values()] if is_dict(webhooks) else []
    items += (item for each in _incoming_in(document) for item in _callbacks_of(each, document))
    found: list[_Operation] = []
    seen: set[int] = set()
    while items:
        # INVARIANT: a callback may lead back to itself, so what is referred to is looked at
        # where it is, and once (test_callback_that_leads_back_to_itself_is_looked_at_once).
        item = resolved(items.pop(), document)
        if item is not None and id(item) not in seen:
            seen.add(id(item))
            operations = list(_operations_of(item))
            found += operations
            items += (inner for each in operations for inner in _callbacks_of(each, document))
    return found


def _callbacks_of(operation: _Operation, document: dict[str, Any]) -> Iterator[object]:
    callbacks = operation.value.get("callbacks")
    for each in callbacks.values() if is_dict(callbacks) else ():
        yield from (resolved(each, document) or {}).values()


def _incoming_in(document: dict[str, Any]) -> Iterator[_Operation]:
    for item in document["paths"].values():
        yield from _operations_in(item, document)


def _spread_root_security(document: dict[str, Any]) -> None:
    """Write what stands for all operations into those that say nothing themselves."""
    root = document.pop("security", None)
    if root is not None:
        for each in (*_incoming_in(document), *_outgoing_in(document)):
            each.value.setdefault("security", copied(root))
