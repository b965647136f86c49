"""What becomes of a request, whoever sends it: which rule, if any, decides on it."""

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tests.apps import mint
from tests.perimeter.serving import Answer, NoAnswerError, Served, request_of

REFUSED = "refused by the server"
NO_RULE = "no rule"
NOT_FOUND, WRONG_METHOD, REDIRECT = "404", "405", "307"
OPEN = "open to all"

RAN = "x-ran"


def ruled_by(scope: str) -> str:
    return f"ruled by {scope}"


def running(scope: str) -> Callable[[Request], Any]:
    """Return an endpoint that says that it ran, and that *scope* is what opens it."""

    async def endpoint(request: Request) -> Response:
        return Response(headers={RAN: scope})

    return endpoint


class AnyMethod:
    """An endpoint, or an app, that answers any method as ``running`` does."""

    def __init__(self, scope: str) -> None:
        self.scope = scope

    async def __call__(self, asgi_scope: Scope, receive: Receive, send: Send) -> None:
        await Response(headers={RAN: self.scope})(asgi_scope, receive, send)


def outcome_of(
    served: Served, method: str, target: str, *fields: str | bytes, scopes: frozenset[str]
) -> str:
    """Return what becomes of a request, having seen that every caller gets what it says.

    *scopes* are all that the app knows. An endpoint that runs, by ``running``, for a caller
    without its scope is an AssertionError, and so is any answer that is none of ours.
    """

    def answer_to(*held: str, is_anonymous: bool = False) -> Answer:
        token = () if is_anonymous else (f"Authorization: Bearer {mint(*held)}",)
        data = request_of(method, target, *fields, *token)
        return served.exchange(data, has_body=method != "HEAD")

    try:
        anonymous = answer_to(is_anonymous=True)
    except NoAnswerError:
        return REFUSED
    if anonymous.is_of_the_server:
        return REFUSED
    powerful = answer_to(*scopes)
    if anonymous.status in {307, 404, 405}:
        assert anonymous.field(RAN) is None
        assert powerful.status == anonymous.status
        return str(anonymous.status)
    if anonymous.status == 200:
        assert anonymous.field(RAN) == "public"
        return OPEN
    assert anonymous.status == 401
    assert anonymous.field("www-authenticate") == 'Bearer realm="api"'
    ran = powerful.field(RAN)
    if ran is None:
        assert powerful.status == 403
        assert powerful.field("www-authenticate") is None
        return NO_RULE
    assert powerful.status == 200
    other = answer_to(*scopes - {ran})
    assert (other.status, other.field(RAN)) == (403, None)
    assert f'scope="{ran}"' in (other.field("www-authenticate") or "")
    assert answer_to(ran).field(RAN) == ran
    return ruled_by(ran)
