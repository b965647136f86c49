"""What an OpenAPI document says, and whether the live app does so."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fastapi.testclient import TestClient
from httpx import Response

SCHEME = "ScopeGuard"
REFUSAL = b"urn:fastapi-scopes:problem:"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a document."""

    method: str
    template: str
    value: dict[str, Any]

    @property
    def path(self) -> str:
        return re.sub(r"\{[^}]*\}", "1", self.template.replace("{agent_id}", "research-agent"))

    @property
    def security(self) -> list[dict[str, list[str]]]:
        found: list[dict[str, list[str]]] = self.value.get("security", [])
        return found

    def is_open(self, scheme: str) -> bool:
        """Whether the document says that no token is needed."""
        return self.security == [] or any(scheme not in entry for entry in self.security)

    def alternatives(self, scheme: str) -> list[list[str]]:
        return [entry[scheme] for entry in self.security if scheme in entry]

    def __str__(self) -> str:
        return f"{self.method} {self.template}"


def operations_of(document: dict[str, Any]) -> Iterator[Operation]:
    for template, item in document["paths"].items():
        for method, value in item.items():
            yield Operation(method.upper(), template, value)


def security_of(document: dict[str, Any]) -> dict[str, Any]:
    """What every operation asks for, by its name; None where it says nothing."""
    return {str(each): each.value.get("security") for each in operations_of(document)}


def operation_of(document: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = (each.value for each in operations_of(document) if str(each) == name)
    return found


def lies_of(
    document: dict[str, Any],
    client: TestClient,
    mint: Any,
    *,
    prefix: str = "",
    scheme: str = SCHEME,
    others: dict[str, str] | None = None,
) -> list[str]:
    """Return what *document* says of its operations and the app behind *client* does not do.

    *mint* makes a token of scopes; *others* are headers for what is asked for beside it.
    """
    walk = _Walk(client, mint, prefix, scheme, others or {})
    return [lie for operation in operations_of(document) for lie in walk.lies(operation)]


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    is_refused: bool
    """Whether it is one of the guard, whatever its status."""

    @classmethod
    def of(cls, response: Response) -> "_Answer":
        # To HEAD there is no body that could say so.
        is_bare = response.request.method == "HEAD"
        of_head = is_bare and response.headers.get("content-type") == "application/problem+json"
        return cls(response.status_code, REFUSAL in response.content or of_head)

    @property
    def is_let_in(self) -> bool:
        return not self.is_refused and self.status not in {401, 403}

    def is_one_of(self, *statuses: int) -> bool:
        return self.is_refused and self.status in statuses

    def __str__(self) -> str:
        return f"{self.status}"


@dataclass(frozen=True, slots=True)
class _Walk:
    client: TestClient
    mint: Any
    prefix: str
    scheme: str
    others: dict[str, str]

    def lies(self, operation: Operation) -> Iterator[str]:
        anonymous = self.ask(operation, None)
        is_open = operation.is_open(self.scheme)
        if not (anonymous.is_let_in if is_open else anonymous.is_one_of(401, 403)):
            yield f"{operation} answers {anonymous} without a token, {operation.security}"
        is_denied = operation.value.get("x-denied", False)
        alternatives = operation.alternatives(self.scheme)
        for alternative in alternatives:
            answer = self.ask(operation, alternative)
            if not (answer.is_one_of(403) if is_denied else answer.is_let_in):
                yield f"{operation} answers {answer} to {alternative}"
            for left_out in alternative:
                fewer = set(alternative) - {left_out}
                if not any(set(each) <= fewer for each in alternatives):
                    answer = self.ask(operation, sorted(fewer))
                    if not answer.is_one_of(403):
                        yield f"{operation} answers {answer} to {sorted(fewer)}"

    def ask(self, operation: Operation, scopes: list[str] | None) -> _Answer:
        headers = dict(self.others)
        if scopes is not None:
            headers["Authorization"] = f"Bearer {self.mint(*scopes)}"
        url = f"http://localhost{self.prefix}{operation.path}"
        response = self.client.request(
            operation.method, url, headers=headers, follow_redirects=False
        )
        return _Answer.of(response)
