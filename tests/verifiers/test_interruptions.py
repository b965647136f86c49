"""Code of the application that raises what is no `Exception`: fetch=, warm_up, scopes_claim=."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from fastapi_scopes.verifiers import IssuersVerifier
from tests.perimeter.test_warm_up import Warmable, errors_in, protected
from tests.verifiers.introspecting import answer_to, make_introspecting, make_issuer
from tests.verifiers.publishing import (
    ISSUER,
    JWKS_URI,
    Issuer,
    looped,
    make_jwks_verifier,
    outcome_of,
)

UNAVAILABLE = "verifier_unavailable"
OPENID = f"{ISSUER}/.well-known/openid-configuration"


class Own(BaseException):
    """An exception of the application's own that is no `Exception`."""


ODD: dict[str, tuple[BaseException, str]] = {
    "cancelled": (asyncio.CancelledError("canary"), "CancelledError"),
    "own": (Own("canary"), "Own"),
    "group": (BaseExceptionGroup("canary", [Own("canary")]), "BaseExceptionGroup"),
    "group-of-cancelled": (
        BaseExceptionGroup("canary", [asyncio.CancelledError()]),
        "BaseExceptionGroup",
    ),
}
ENDING: dict[str, BaseException] = {"exit": SystemExit(7), "interrupt": KeyboardInterrupt()}


def raising(error: BaseException) -> Callable[..., Awaitable[Any]]:
    async def work(*_: object) -> NoReturn:
        await asyncio.sleep(0)
        raise error.with_traceback(None)

    return work


def own_verifier(error: BaseException, *, is_member: bool) -> Any:
    """A verifier whose warm-up raises *error*, alone or as a member of another one."""
    verifier: Any = Warmable(raising(error))
    if not is_member:
        return verifier
    vars(verifier).update(issuers=frozenset({"own"}), grants_by_name=str)
    return IssuersVerifier([verifier])


async def start(verifier: Any) -> None:
    app = protected(verifier)
    async with app.router.lifespan_context(app):
        pass


def unhandled() -> list[Any]:
    """What the running loop is told that nobody handled, from now on."""
    found: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: found.append(told))
    return found


@pytest.mark.parametrize(("error", "name"), ODD.values(), ids=ODD)
@looped
async def test_what_fetch_raises_on_a_request_is_a_failed_attempt(
    error: BaseException, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    found, issuer = unhandled(), Issuer()
    issuer.error = error
    verifier = issuer.verifier()
    asking = asyncio.create_task(outcome_of(verifier, issuer.mint()))
    assert await asking == UNAVAILABLE
    assert await outcome_of(verifier, issuer.mint()) == UNAVAILABLE
    assert asking.cancelling() == 0
    assert issuer.fetches == 1
    assert caplog.messages == [
        f"no keys of {ISSUER}: {JWKS_URI} is not fetched: {name}; if that address is wrong, "
        "correct jwks_uri="
    ]
    gc.collect()
    assert found == []


@pytest.mark.parametrize(("error", "name"), ODD.values(), ids=ODD)
@looped
async def test_what_fetch_raises_at_the_start_is_said_of_keys_and_endpoints(
    error: BaseException, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    verifier = make_jwks_verifier(jwks_uri=JWKS_URI, fetch=raising(error))
    verifier.discover_endpoints()
    await start(verifier)
    assert sorted(errors_in(caplog)) == [
        f"no keys of {ISSUER}: {JWKS_URI} is not fetched: {name}; if that address is wrong, "
        "correct jwks_uri=",
        f"the OpenAPI document shows no sign-in at {ISSUER}: {OPENID} is not fetched: {name}; "
        "pass security_scheme=OAuth2AuthorizationCodeBearer(...)",
    ]


@looped
async def test_request_that_is_cancelled_while_fetch_runs_is_cancelled() -> None:
    issuer = Issuer()
    issuer.hold()
    verifier = issuer.verifier()
    asking = asyncio.create_task(outcome_of(verifier, issuer.mint()))
    await issuer.wait_for_fetches(1)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    issuer.release()
    assert await outcome_of(verifier, issuer.mint()) == "accept"
    assert issuer.fetches == 1


@pytest.mark.parametrize("is_member", [False, True], ids=["alone", "member"])
@pytest.mark.parametrize(("error", "name"), ODD.values(), ids=ODD)
@looped
async def test_what_a_warm_up_raises_is_said_and_the_start_goes_on(
    error: BaseException, name: str, is_member: bool, caplog: pytest.LogCaptureFixture
) -> None:
    await start(own_verifier(error, is_member=is_member))
    said = "was cancelled" if name == "CancelledError" else f"raised {name}"
    assert errors_in(caplog) == [f"Warmable.warm_up() {said}; the first request does without it"]


@looped
async def test_warm_up_that_cancels_its_task_does_not_end_the_start(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def cancel() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    await start(Warmable(cancel))
    assert errors_in(caplog) == [
        "Warmable.warm_up() was cancelled; the first request does without it"
    ]


GROUPS = {
    f"group-of-{name}": BaseExceptionGroup("canary", [ValueError(), error])
    for name, error in ENDING.items()
}


@pytest.mark.parametrize("is_member", [False, True], ids=["alone", "member"])
@pytest.mark.parametrize("error", [*ENDING.values(), *GROUPS.values()], ids=[*ENDING, *GROUPS])
def test_warm_up_may_end_the_process(
    error: BaseException, is_member: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(type(error)) as raised:
        asyncio.run(start(own_verifier(error, is_member=is_member)))
    assert raised.value is error
    gc.collect()
    assert errors_in(caplog) == []


async def ask(verifier: Any) -> None:
    await outcome_of(verifier, Issuer().mint())


@pytest.mark.parametrize("use", [start, ask])
@pytest.mark.parametrize("error", ENDING.values(), ids=ENDING)
def test_fetch_may_end_the_process(
    error: BaseException, use: Callable[[Any], Any], caplog: pytest.LogCaptureFixture
) -> None:
    verifier = make_jwks_verifier(jwks_uri=JWKS_URI, fetch=raising(error))
    with pytest.raises(type(error)):
        asyncio.run(use(verifier))
    gc.collect()
    assert "never retrieved" not in caplog.text


@pytest.mark.parametrize(("error", "name"), ODD.values(), ids=ODD)
def test_what_scopes_claim_raises_refuses_the_token(
    error: BaseException, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    def scopes_of(_: object) -> NoReturn:
        raise error.with_traceback(None)

    issuer = Issuer()
    assert asyncio.run(outcome_of(issuer.verifier(scopes_claim=scopes_of), issuer.mint())) == (
        "scopes"
    )
    with make_issuer() as opaque:
        verifier = make_introspecting(opaque, scopes_claim=scopes_of)
        assert answer_to(verifier, opaque.mint_opaque("a")) == "scopes"
    assert len(caplog.messages) == 2
    for each in caplog.messages:
        assert each.startswith(f"the function scopes_claim raised {name} at test_interruptions.py:")


@pytest.mark.parametrize(("error", "name"), ODD.values(), ids=ODD)
@looped
async def test_what_plug_ins_raise_is_a_failure_and_cancels_nobody(
    error: BaseException, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    issuer, raises = Issuer(), raising(error)
    list_that_fails = SimpleNamespace(is_revoked=raises)
    checker = SimpleNamespace(check=raises)
    revoking = issuer.verifier(revocations=list_that_fails)
    assert await outcome_of(revoking, issuer.mint(jti="a")) == "verifier_unavailable"
    proving = issuer.verifier(proof=checker)
    assert await outcome_of(proving, issuer.mint(cnf={"jkt": "a"})) == "confirmation"
    said = [each for each in caplog.messages if " raised " in each]
    assert [each.partition(" at ")[0] for each in said] == [
        f"revocation list raised {name}",
        f"proof checker raised {name}",
    ]
