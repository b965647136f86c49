"""Who may have what: requests read, rules looked up, tokens verified, verdicts given.

An edge finds the route and calls `access_request_of`, `Rulebook.rule_for` and
`Authorizer.authorize`; what it says of a connection is kept in a `ConnectionState`.
"""

from fastapi_scopes.authorization.access import AccessRequest, Route, Verdict
from fastapi_scopes.authorization.authorizer import Authorizer
from fastapi_scopes.authorization.connection import (
    ConnectionState,
    Running,
    fork_state,
    known_state_of,
    state_of,
    verdict_of,
)
from fastapi_scopes.authorization.fields import fields_of, is_unruly, method_of
from fastapi_scopes.authorization.reading import (
    access_request_of,
    has_credentials_of,
    is_still_asked,
)
from fastapi_scopes.authorization.rulebook import Rulebook, with_docs
from fastapi_scopes.authorization.subprotocols import withhold_from

__all__ = [
    "AccessRequest",
    "Authorizer",
    "ConnectionState",
    "Route",
    "Rulebook",
    "Running",
    "Verdict",
    "access_request_of",
    "fields_of",
    "fork_state",
    "has_credentials_of",
    "is_still_asked",
    "is_unruly",
    "known_state_of",
    "method_of",
    "state_of",
    "verdict_of",
    "with_docs",
    "withhold_from",
]
