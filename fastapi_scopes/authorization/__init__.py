"""Authorization of one request: it is read, its rule found, its token verified, a verdict given.

Perimeter and dependency find the route, and call `access_request_of`, `Rulebook.rule_for` and
`Authorizer.authorize`; what they find on a connection is kept in its `ConnectionState`.
"""

from fastapi_scopes.authorization.access import AccessRequest, Route, Verdict, awaited_verdict
from fastapi_scopes.authorization.authorizer import Authorizer
from fastapi_scopes.authorization.connection import (
    ConnectionState,
    RunningEndpoint,
    fork_state,
    known_state_of,
    state_of,
    verdict_of,
)
from fastapi_scopes.authorization.fields import (
    fields_of,
    method_of,
    usable_method_of,
)
from fastapi_scopes.authorization.reading import (
    access_request_of,
    has_credentials_of,
    has_method_and_credentials_of,
)
from fastapi_scopes.authorization.reporting import DecisionReporter
from fastapi_scopes.authorization.rollout import Rollout
from fastapi_scopes.authorization.rulebook import Rulebook, with_docs
from fastapi_scopes.authorization.subprotocols import remove_offers_from

__all__ = [
    "AccessRequest",
    "Authorizer",
    "ConnectionState",
    "DecisionReporter",
    "Rollout",
    "Route",
    "Rulebook",
    "RunningEndpoint",
    "Verdict",
    "access_request_of",
    "awaited_verdict",
    "fields_of",
    "fork_state",
    "has_credentials_of",
    "has_method_and_credentials_of",
    "known_state_of",
    "method_of",
    "remove_offers_from",
    "state_of",
    "usable_method_of",
    "verdict_of",
    "with_docs",
]
