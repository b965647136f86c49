"""Writes the requirements of rules into the operations of an OpenAPI document."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fastapi_scopes.core.requirements import Access, Alternative
from fastapi_scopes.openapi.problems import Refusals
from fastapi_scopes.openapi.schemes import BearerScheme, uses_authorization_header
from fastapi_scopes.openapi.values import deep_copy, dereference, dict_in, is_dict

__all__ = ["RequirementOf", "ShownRequirement", "with_security"]


@dataclass(frozen=True, slots=True)
class ShownRequirement:
    """The requirement of an operation, as a document shows it."""

    access: Access
    alternatives: tuple[Alternative, ...]
    """Where `access` is SCOPES: the sets of scopes of which one is enough, as the map has them."""
    requested: tuple[Alternative, ...]
    """The same sets, as clients ask for them; without the scopes that nobody can ask for."""


RequirementOf = Callable[[str, str], ShownRequirement | None]
"""Returns the requirement of an operation by path and method; None where no guard decides."""

Entry = dict[str, list[str]]
"""A Security Requirement Object: the schemes to satisfy, all of them, each with its scopes."""

# OpenAPI 3.1 4.8.9.1: of a path item all else is an operation.
_FIELDS: Final = frozenset(
    {"$ref", "summary", "description", "servers", "parameters", "additionalOperations"}
)
_DENIED: Final = "x-denied"
_REQUIRED: Final = "x-required-scopes"
# Under these a caller may come without a token, so the application may use the header itself.
_WITHOUT_TOKEN: Final = frozenset({Access.PUBLIC, Access.OPTIONAL})


@dataclass(frozen=True, slots=True)
class _Operation:
    method: str
    value: dict[str, Any]
    is_silent: bool
    """Whether it has no `security` of its own."""


_DecidedOperations = Sequence[tuple[_Operation, ShownRequirement]]


def with_security(
    base: dict[str, Any], scheme: BearerScheme, requirement_of: RequirementOf
) -> dict[str, Any]:
    """Return a copy of *base* in which each operation shows its requirement.

    The copy is unchanged where *base* is no OpenAPI 3 document, and where the requirements add
    nothing.
    """
    document: dict[str, Any] = deep_copy(base)
    paths = document.get("paths") if is_dict(document) else None
    if not is_dict(paths) or not str(document.get("openapi")).startswith("3."):
        return document
    decided: list[tuple[_Operation, ShownRequirement]] = []
    undecided: list[_Operation] = []
    for path, item in paths.items():
        for operation in _operations_in(item, document):
            requirement = requirement_of(str(path), operation.method)
            if requirement is None:
                undecided.append(operation)
            else:
                decided.append((operation, requirement))
    if not _Rewriting(document, scheme, decided, undecided).run():
        document = deep_copy(base)
    return document


class _Rewriting:
    """Writes what the rules ask for into the operations of one OpenAPI document."""

    def __init__(
        self,
        document: dict[str, Any],
        scheme: BearerScheme,
        decided: _DecidedOperations,
        undecided: list[_Operation],
    ) -> None:
        self._document = document
        self._scheme = scheme
        self._decided = decided
        self._needs_scheme = any(rule.access is not Access.PUBLIC for _, rule in decided)
        self._has_root = document.get("security") is not None
        if self._needs_scheme:
            _spread_root_security(document)
        self._components = dict_in(document, "components")
        self._schemes = dict_in(self._components, "securitySchemes")
        self._untouched = [*undecided, *_outgoing_in(document)]
        # FastAPI itself lists a guard that is a dependency, whatever the rule.
        is_shown = scheme.is_written_as(self._schemes.get(scheme.name))
        self._shown = {scheme.name} if is_shown else set[str]()
        self._name = self._free_name()

    def run(self) -> bool:
        """Write the requirements, and tell whether that changed an operation."""
        has_changed = False
        refusals = Refusals(self._document)
        for operation, requirement in self._decided:
            before = dict(operation.value)
            self._write(operation, requirement)
            has_changed = has_changed or before != operation.value
            refusals.add_to(operation.value, requirement.access)
        used = _names_in([*self._untouched, *(operation for operation, _ in self._decided)])
        self._drop_unused(used)
        if self._needs_scheme:
            requirements = [requirement for _, requirement in self._decided]
            names = {each for one in requirements for scopes in one.requested for each in scopes}
            self._schemes[self._name] = self._scheme.definition(names)
        for holder, name in ((self._components, "securitySchemes"), (self._document, "components")):
            if not holder[name]:
                del holder[name]
        return has_changed or self._needs_scheme

    def _write(self, operation: _Operation, requirement: ShownRequirement) -> None:
        value = operation.value
        for name in (_DENIED, _REQUIRED):
            value.pop(name, None)
        security = self._security_of(operation, requirement)
        if security != [{}]:
            value["security"] = security
        elif (self._needs_scheme and operation.is_silent) or self._shown & _names_in([operation]):
            # OpenAPI 3.1 4.8.10.1: an empty list overrides the `security` of the whole document.
            value.pop("security", None)
            if self._has_root:
                value["security"] = []
        if requirement.access is Access.DENY:
            value[_DENIED] = True
        # A scheme with scopes of its own shows them in `security`, but those without a name.
        hides_some = any(
            len(shown) < len(each)
            for shown, each in zip(requirement.requested, requirement.alternatives, strict=True)
        )
        if requirement.alternatives and (self._scheme.is_http or hides_some):
            value[_REQUIRED] = [list(each) for each in requirement.alternatives]

    def _security_of(self, operation: _Operation, requirement: ShownRequirement) -> list[Entry]:
        beside, without = self._own_security_of(operation)
        joined = [
            _joined(entry, own)
            for entry in self._entries(requirement)
            for own in (beside if entry else without)
        ]
        return [each for i, each in enumerate(joined) if each not in joined[:i]]

    def _entries(self, requirement: ShownRequirement) -> Iterator[Entry]:
        if requirement.access in _WITHOUT_TOKEN:
            yield {}
        if requirement.access is Access.SCOPES:
            # OpenAPI 3.0 4.8.30: only schemes with scopes of their own may hold some.
            hides_scopes = self._scheme.is_http and str(self._document["openapi"]).startswith("3.0")
            yield from (
                {self._name: [] if hides_scopes else list(each)} for each in requirement.requested
            )
        elif requirement.access is not Access.PUBLIC:
            yield {self._name: []}

    def _own_security_of(self, operation: _Operation) -> tuple[list[Entry], list[Entry]]:
        """Return the application's own entries: for callers with a guard's token, and without.

        FastAPI lists each scheme alone although all are needed, so they are joined into one
        entry; but a request carries one credential in the Authorization header.
        """
        entries = _entries_of(operation.value)
        beside: Entry = {}
        credentials: Entry = {}
        for entry in entries:
            for name, scopes in entry.items():
                holder = credentials if self._is_replaced(name) else beside
                holder[name] = list(dict.fromkeys([*holder.get(name, []), *scopes]))
        # INVARIANT: schemes that the route itself declares stay, else an operation would be shown
        # as more open than it is (test_public_operation_keeps_the_schemes_of_its_route). Schemes
        # that the document declares for all operations at once are replaced by the guard's.
        kept = [] if operation.is_silent else credentials.keys() - self._shown
        alone = [{name: credentials[name], **beside} for name in credentials if name in kept]
        optional: list[Entry] = [{}] if {} in entries else []
        return [*optional, beside], [*optional, *(alone or [beside])]

    def _is_replaced(self, name: str) -> bool:
        return uses_authorization_header(dereference(self._schemes.get(name), self._document))

    def _free_name(self) -> str:
        """Return the name of the guard's scheme, with a number where another scheme has it."""
        open_ones = (each for each, rule in self._decided if rule.access in _WITHOUT_TOKEN)
        kept = (each for each in open_ones if not each.is_silent)
        used = _names_in([*self._untouched, *kept])
        name, number = self._scheme.name, 1
        while name in self._schemes:
            is_ours = self._scheme.is_written_as(self._schemes[name])
            if is_ours or (self._is_replaced(name) and name not in used):
                break
            number += 1
            name = f"{self._scheme.name}{number}"
        return name

    def _drop_unused(self, used: set[str]) -> None:
        # Where no rule needs a token, no scheme of the application is replaced.
        leaving = list(self._schemes) if self._needs_scheme else self._shown
        referred = {str(each.get("$ref")) for each in self._schemes.values() if is_dict(each)}
        for name in leaving:
            is_used = name in used or f"#/components/securitySchemes/{name}" in referred
            if not is_used and self._is_replaced(name):
                del self._schemes[name]


def _joined(entry: Entry, other: Entry) -> Entry:
    return {**{name: list(scopes) for name, scopes in entry.items()}, **other}


def _entries_of(operation: dict[str, Any]) -> list[Entry]:
    """Return the well-formed security requirements of *operation*."""
    found = operation.get("security")
    entries = [each for each in found if is_dict(each)] if isinstance(found, list) else []
    return [{name: _texts_in(scopes) for name, scopes in each.items()} for each in entries]


def _texts_in(scopes: object) -> list[str]:
    return [each for each in scopes if isinstance(each, str)] if isinstance(scopes, list) else []


def _names_in(operations: Iterable[_Operation]) -> set[str]:
    return {name for each in operations for entry in _entries_of(each.value) for name in entry}


def _operations_in(item: object, document: dict[str, Any]) -> Iterator[_Operation]:
    """Yield the operations of a path item; the target of a reference is copied into it first."""
    if not is_dict(item):
        return
    target = dereference(item, document)
    if target is None:
        # References to other documents are not followed.
        return
    if target is not item:
        item.pop("$ref")
        item.update({**deep_copy(target), **item})
    yield from _operations_of(item)


def _operations_of(item: dict[str, Any]) -> Iterator[_Operation]:
    more = item.get("additionalOperations")
    for operations in (item, more if is_dict(more) else {}):
        for key, value in operations.items():
            name = str(key)
            if name not in _FIELDS and not name.startswith("x-") and is_dict(value):
                method_name = name.upper() if operations is item else name
                yield _Operation(method_name, value, is_silent="security" not in value)


def _outgoing_in(document: dict[str, Any]) -> list[_Operation]:
    """Return the operations that the app calls on other servers: webhooks and callbacks."""
    webhooks = document.get("webhooks")
    items: list[object] = [*webhooks.values()] if is_dict(webhooks) else []
    items += (item for each in _incoming_in(document) for item in _callbacks_of(each, document))
    found: list[_Operation] = []
    seen: set[int] = set()
    while items:
        # INVARIANT: a callback may refer to itself, so the target of a reference is visited
        # in its place, and once (test_callback_that_leads_back_to_itself_is_looked_at_once).
        item = dereference(items.pop(), document)
        if item is not None and id(item) not in seen:
            seen.add(id(item))
            operations = list(_operations_of(item))
            found += operations
            items += (inner for each in operations for inner in _callbacks_of(each, document))
    return found


def _callbacks_of(operation: _Operation, document: dict[str, Any]) -> Iterator[object]:
    callbacks = operation.value.get("callbacks")
    for each in callbacks.values() if is_dict(callbacks) else ():
        yield from (dereference(each, document) or {}).values()


def _incoming_in(document: dict[str, Any]) -> Iterator[_Operation]:
    for item in document["paths"].values():
        yield from _operations_in(item, document)


def _spread_root_security(document: dict[str, Any]) -> None:
    """Copy the `security` of the whole document into operations that have none of their own."""
    root = document.pop("security", None)
    if root is not None:
        for each in (*_incoming_in(document), *_outgoing_in(document)):
            each.value.setdefault("security", deep_copy(root))
