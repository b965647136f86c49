"""JSON documents of an authorization server over HTTP, within limits (RFC 8725 3.10)."""

from fastapi_scopes.verifiers._http.documents import MAX_BODY_BYTES, Document, Fetch, FetchError
from fastapi_scopes.verifiers._http.fetching import (
    TRANSPORT_ERRORS,
    Client,
    HTTPFetch,
    answer_to,
    client_for,
    load_client,
)
from fastapi_scopes.verifiers._http.hosts import (
    allow_http_problems,
    host_problems,
    is_plain_http,
    malformed_url_problem,
    metadata_urls,
    url_problem,
    warn_of_hosts,
    without_query,
)
from fastapi_scopes.verifiers._http.trust import (
    ca_file_problems,
    certificate_fault,
    context_for,
    tls_context,
)

__all__ = [
    "MAX_BODY_BYTES",
    "TRANSPORT_ERRORS",
    "Client",
    "Document",
    "Fetch",
    "FetchError",
    "HTTPFetch",
    "allow_http_problems",
    "answer_to",
    "ca_file_problems",
    "certificate_fault",
    "client_for",
    "context_for",
    "host_problems",
    "is_plain_http",
    "load_client",
    "malformed_url_problem",
    "metadata_urls",
    "tls_context",
    "url_problem",
    "warn_of_hosts",
    "without_query",
]
