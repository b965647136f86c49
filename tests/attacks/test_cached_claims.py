"""A token is verified once for many requests; nobody changes what the next one gets."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from threading import Lock
from types import MethodType
from typing import Annotated, Any, Self

import pytest
from fastapi import Depends, Request
from fastapi.testclient import TestClient
from pydantic import ConfigDict, PrivateAttr, model_validator

from fastapi_scopes import Claims, JWTVerifier, ScopeGuard
from fastapi_scopes.errors import TokenError, TokenFault
from fastapi_scopes.verifiers import IssuersVerifier
from fastapi_scopes.verifiers.base import SharedClaims
from tests.apps import bind_state
from tests.doors import DOORS, Door
from tests.verifiers.kinds import KINDS, Make
from tests.verifiers.minting import NOW, SECRET, mint

ADMIN = frozenset({"admin"})


class Member(Claims):
    """Claims with values inside that can be changed, declared ones and others."""

    model_config = ConfigDict(frozen=True, extra="allow")

    groups: list[str]
    org: dict[str, Any]


def by_setattr(claims: Any) -> None:
    object.__setattr__(claims, "scopes", ADMIN)
    object.__setattr__(claims, "sub", "root")
    object.__setattr__(claims, "exp", NOW + 10**9)


def by_dict(claims: Any) -> None:
    claims.__dict__.update(scopes=ADMIN, sub="root", iss="https://as.example")


def by_dict_emptied(claims: Any) -> None:
    claims.__dict__.clear()


def by_lists(claims: Any) -> None:
    for each in (claims.aud, claims.groups, claims.more, claims.org["roles"], claims.deep["a"][0]):
        each[:] = ["admin"]


def by_mappings(claims: Any) -> None:
    for each in (claims.org, claims.deep, claims.deep["a"][1]):
        each.update(scopes="admin", scope="admin", roles=["admin"], a=[])


def by_extras(claims: Any) -> None:
    claims.model_extra.update(scope="admin", scopes=["admin"], role="admin")
    claims.model_extra.pop("deep")


def by_extras_replaced(claims: Any) -> None:
    object.__setattr__(claims, "__pydantic_extra__", {"scope": "admin"})


def by_fields_set(claims: Any) -> None:
    claims.model_fields_set.clear()
    claims.model_fields_set.add("admin")


CHANGES: Mapping[str, Callable[[Any], None]] = {
    "attributes": by_setattr,
    "dict": by_dict,
    "dict-emptied": by_dict_emptied,
    "lists": by_lists,
    "mappings": by_mappings,
    "extras": by_extras,
    "extras-replaced": by_extras_replaced,
    "fields-set": by_fields_set,
}


def own(request: Request, claims: Any) -> list[Any]:
    return [claims]


def remembered(request: Request, claims: Any) -> list[Any]:
    state = request.scope["fastapi_scopes"]
    verdicts = [each.claims for each in state.verdicts.values()]
    running = state.running.verdicts.values() if state.running is not None else ()
    verified = (each[2] for each in state.verified.values())
    return [*verdicts, *(each.claims for each in running), *verified]


PLACES: Mapping[str, Callable[[Request, Any], list[Any]]] = {
    "own-claims": own,
    "claims-of-the-connection": remembered,
}


def shown(claims: Any) -> str:
    return f"{vars(claims)} {claims.model_extra} {sorted(claims.model_fields_set)}"


def make_client(door: Door, make: Make, tamper: Callable[[Request, Any], None]) -> TestClient:
    """An app that shows claims, lets a handler at them, and has one route for admins."""
    guard: ScopeGuard[Any] = ScopeGuard(
        {"GET /see": [], "GET /tamper": [], "GET /admin": "admin"},
        verifier=make(claims_model=Member),
        bind=bind_state,
    )
    app = door(guard)

    async def see(request: Request, claims: Annotated[Any, Depends(guard)]) -> Any:
        state = {**request.scope["state"], "scopes": sorted(request.scope["state"]["scopes"])}
        told = {**claims.model_dump(mode="json"), "scopes": sorted(claims.scopes)}
        return {"claims": told, "set": sorted(claims.model_fields_set), "state": str(state)}

    async def admin() -> str:
        return "ran"

    async def let_tamper(request: Request, claims: Annotated[Any, Depends(guard)]) -> None:
        tamper(request, claims)

    for path, endpoint in {"/see": see, "/tamper": let_tamper, "/admin": admin}.items():
        app.add_api_route(path, endpoint, response_model=None)
    return TestClient(app)


def bearer() -> dict[str, str]:
    token = mint(
        algorithm="ES256",
        scope="read",
        aud=["https://api.example"],
        groups=["staff"],
        more=["x"],
        org={"roles": ["reader"]},
        deep={"a": [["y"], {"b": "c"}]},
    )
    return {"Authorization": f"Bearer {token}"}


def assert_next_request_gets_the_first_answer(client: TestClient) -> None:
    headers = bearer()
    first = client.get("/see", headers=headers)
    assert first.status_code == 200
    for _ in range(2):
        assert client.get("/tamper", headers=headers).status_code == 200
        assert client.get("/see", headers=headers).json() == first.json()
        assert client.get("/admin", headers=headers).status_code == 403


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_handler_that_changes_its_claims_changes_none_of_the_next_request(
    change: Callable[[Any], None],
    place: Callable[[Request, Any], list[Any]],
    door: Door,
    make: Make,
) -> None:
    def tamper(request: Request, claims: Any) -> None:
        before = shown(claims)
        for each in place(request, claims):
            # What the copies of one connection share has been changed by then; and what is kept
            # for the next is no claims object.
            with suppress(LookupError, TypeError, AttributeError):
                change(each)
        assert shown(claims) != before or place is remembered

    assert_next_request_gets_the_first_answer(make_client(door, make, tamper))


def bound_state(request: Request, claims: Any) -> None:
    state = request.scope["state"]
    state["scopes"].append("admin")
    state["claims"].update(scopes=["admin"], scope="admin", sub="root")
    state["claims"]["groups"].append("admin")
    state.update(user_id="root", admin_scope="read")


def verdicts(request: Request, claims: Any) -> None:
    for each in request.scope["fastapi_scopes"].verdicts.values():
        for name in ("claims", "_claims"):
            with suppress(AttributeError):
                object.__setattr__(each, name, Claims(exp=1, scopes=ADMIN))
        object.__setattr__(each, "problem", None)


def connection_state(request: Request, claims: Any) -> None:
    state = request.scope["fastapi_scopes"]
    state.verdicts.clear()
    state.passages.clear()
    state.running = None
    state.verified.clear()
    state.admin_scope = "read"
    request.scope["fastapi_scopes"] = {"scopes": ADMIN}


CONNECTIONS: Mapping[str, Callable[[Request, Any], None]] = {
    "bound-state": bound_state,
    "verdicts": verdicts,
    "connection-state": connection_state,
}


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
@pytest.mark.parametrize("tamper", CONNECTIONS.values(), ids=CONNECTIONS)
def test_handler_that_changes_its_connection_changes_none_of_the_next_one(
    tamper: Callable[[Request, Any], None], door: Door, make: Make
) -> None:
    assert_next_request_gets_the_first_answer(make_client(door, make, tamper))


def hmac_verifier(**config: Any) -> Any:
    defaults: dict[str, Any] = {"issuer": None, "audience": None, "now": lambda: NOW}
    return JWTVerifier(keys=[SECRET], algorithms=["HS256"], **{**defaults, **config})


class Strict(JWTVerifier[Claims]):
    """Lets in whom the other lets in, but for one."""

    async def verify(self, token: str) -> Claims:
        claims = await super().verify(token)
        if claims.sub == "mallory":
            raise TokenError(TokenFault.CLAIMS)
        return claims


def overridden() -> Any:
    return Strict(keys=[SECRET], algorithms=["HS256"], issuer=None, audience=None, now=lambda: NOW)


def replaced() -> Any:
    verifier = hmac_verifier()
    verifier.verify = MethodType(Strict.verify, overridden())  # type: ignore[method-assign]
    return verifier


def delegating() -> Any:
    class Delegating:
        def __init__(self) -> None:
            self.inner = overridden()

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

        async def verify(self, token: str) -> Claims:
            claims: Claims = await self.inner.verify(token)
            return claims

    return Delegating()


OWN: Mapping[str, Callable[[], Any]] = {
    "overridden": overridden,
    "replaced": replaced,
    "delegating": delegating,
    "of several issuers": lambda: IssuersVerifier([overridden_for_one()]),
}


def overridden_for_one() -> Any:
    return Strict(
        keys=[SECRET],
        algorithms=["HS256"],
        issuer="https://one.example",
        audience=None,
        now=lambda: NOW,
    )


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
@pytest.mark.parametrize("make", OWN.values(), ids=OWN)
def test_verifier_whose_verify_is_not_ours_is_asked_for_every_request(
    make: Callable[[], Any], door: Door
) -> None:
    app = door(ScopeGuard({"GET /x": []}, verifier=make()))
    app.add_api_route("/x", lambda: "ran")
    client = TestClient(app)
    for _ in range(2):
        for sub, status in (("alice", 200), ("mallory", 401)):
            token = mint(key=SECRET, sub=sub, iss="https://one.example")
            headers = {"Authorization": f"Bearer {token}"}
            assert client.get("/x", headers=headers).status_code == status


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_claims_are_modelled_once_and_copied_for_who_asks(door: Door) -> None:
    modelled: list[str | None] = []

    class Counted(Claims):
        @model_validator(mode="after")
        def count(self) -> Self:
            modelled.append(self.sub)
            return self

    verifier = hmac_verifier(claims_model=Counted)
    guard = ScopeGuard({"GET /x": []}, verifier=verifier)
    app = door(guard)
    seen: list[Any] = []

    async def endpoint(claims: Annotated[Any, Depends(guard)]) -> None:
        seen.append(claims)

    app.add_api_route("/x", endpoint)
    headers = {"Authorization": f"Bearer {mint(key=SECRET, sub='alice')}"}
    for _ in range(3):
        assert TestClient(app).get("/x", headers=headers).status_code == 200
    assert modelled == ["alice"]
    assert seen[0] == seen[1] == seen[2]
    assert len({id(each) for each in seen}) == 3


def test_model_that_refuses_a_token_is_asked_again_for_the_next() -> None:
    asked: list[str | None] = []

    class Refusing(Claims):
        @model_validator(mode="after")
        def refuse(self) -> Self:
            asked.append(self.sub)
            raise ValueError

    verifier = hmac_verifier(claims_model=Refusing)
    app = DOORS["perimeter"](ScopeGuard({"GET /x": []}, verifier=verifier))
    app.add_api_route("/x", lambda: "ran")
    headers = {"Authorization": f"Bearer {mint(key=SECRET, sub='alice')}"}
    for _ in range(2):
        assert TestClient(app).get("/x", headers=headers).status_code == 401
    assert asked == ["alice", "alice"]


class Locked(Claims):
    """Has something inside of which there is no copy."""

    _lock: Any = PrivateAttr(default_factory=Lock)


class Tagged(Claims):
    """Has a list inside that no claim is."""

    _tags: list[str] = PrivateAttr(default_factory=lambda: ["own"])


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
@pytest.mark.parametrize(("model", "status"), [(Locked, 401), (Tagged, 200)])
def test_claims_that_cannot_be_copied_let_no_one_in(
    model: type[Claims], status: int, door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    verifier = hmac_verifier(claims_model=model)
    guard = ScopeGuard({"GET /x": []}, verifier=verifier)
    app = door(guard)

    async def endpoint(claims: Annotated[Any, Depends(guard)]) -> list[str]:
        claims._tags.append("more")
        return sorted(claims._tags)

    app.add_api_route("/x", endpoint)
    headers = {"Authorization": f"Bearer {mint(key=SECRET, sub='alice')}"}
    for _ in range(2):
        answer = TestClient(app).get("/x", headers=headers)
        assert answer.status_code == status
        assert status != 200 or answer.json() == ["more", "own"]
    assert ("cannot be copied: TypeError" in caplog.text) == (status == 401)


def status_of(door: Door, guard: ScopeGuard[Any], token: str) -> int:
    app = door(guard)
    app.add_api_route("/x", lambda: "ran", dependencies=[Depends(guard)])
    headers = {"Authorization": f"Bearer {token}"}
    client = TestClient(app)
    found = {client.get("/x", headers=headers).status_code for _ in range(2)}
    assert len(found) == 1
    return found.pop()


class Naming(Claims):
    """Names tokens that name themselves not."""

    jti: str | None = "named"
    iss: str | None = "https://other.example"


class Revoked:
    async def is_revoked(self, issuer: str | None, jti: str) -> bool:
        return (issuer, jti) == (None, "one")


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
@pytest.mark.parametrize(
    ("claims", "status"), [({}, 401), ({"jti": "one"}, 401), ({"jti": "2"}, 200)]
)
def test_token_is_revoked_by_what_it_says_whatever_the_model_adds(
    claims: dict[str, str], status: int, door: Door
) -> None:
    verifier = hmac_verifier(claims_model=Naming, revocations=Revoked())
    guard = ScopeGuard({"GET /x": []}, verifier=verifier)
    assert status_of(door, guard, mint(key=SECRET, **claims)) == status


class Endless(Claims):
    exp: Any = None


class ApiKeys:
    """A verifier of one's own, of keys that do not expire."""

    async def verify(self, token: str) -> Claims:
        return Endless(sub=token)


class Bare:
    """Makes claims without any."""

    async def verify(self, token: str) -> Claims:
        return Claims.model_construct(sub=token)


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
@pytest.mark.parametrize("verifier", [ApiKeys(), Bare()], ids=["endless", "bare"])
def test_bind_is_told_of_callers_whose_token_does_not_end(verifier: Any, door: Door) -> None:
    def bind(_: Any, claims: Any) -> None:
        if claims.sub == "mallory":
            raise TokenError(TokenFault.REVOKED)

    guard = ScopeGuard({"GET /x": []}, verifier=verifier, bind=bind)
    assert status_of(door, guard, "mallory") == 401
    assert status_of(door, guard, "alice") == 200


class Wrapper:
    """Says that it is what it wraps, as those of instrumentations do."""

    def __init__(self, wrapped: Any, check: Any) -> None:
        self.wrapped, self.check = wrapped, check

    def __hash__(self) -> int:
        return hash(self.wrapped)

    def __eq__(self, other: object) -> bool:
        return bool(self.wrapped == other)

    def __call__(self, *given: Any, **named: Any) -> Any:
        return self.wrapped(*given, **named)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        bound = self.wrapped.__get__(instance, owner)

        async def checked(*given: Any, **named: Any) -> Any:
            return await self.check(bound, instance, given, named)

        return checked


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_verify_that_an_instrumentation_wraps_is_asked(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check(wrapped: Any, instance: Any, given: Any, named: Any) -> Any:
        claims = await wrapped(*given, **named)
        if claims.sub == "mallory":
            raise TokenError(TokenFault.CLAIMS)
        return claims

    monkeypatch.setattr(JWTVerifier, "verify", Wrapper(JWTVerifier.verify, check))
    guard = ScopeGuard({"GET /x": []}, verifier=hmac_verifier())
    assert status_of(door, guard, mint(key=SECRET, sub="mallory")) == 401
    assert status_of(door, guard, mint(key=SECRET, sub="alice")) == 200


class ByProperty:
    def __init__(self) -> None:
        self.inner = overridden()

    @property
    def verify(self) -> Any:
        return self.inner.verify


class BySlot:
    __slots__ = ("verify",)

    def __init__(self) -> None:
        self.verify = overridden().verify


class ByDelegation:
    def __init__(self) -> None:
        self.inner = overridden()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class ByInheritance(Strict):
    pass


class ByLookUp(JWTVerifier[Claims]):
    def __getattribute__(self, name: str) -> Any:
        return overridden().verify if name == "verify" else super().__getattribute__(name)


class Shut(JWTVerifier[Claims]):
    verify = None  # type: ignore[assignment]


def test_verify_that_a_subclass_takes_away_is_not_that_of_its_base() -> None:
    verifier = hmac_verifier()
    guard = ScopeGuard({"GET /x": []}, verifier=verifier)
    verifier.__class__ = Shut
    with pytest.raises(TypeError):
        status_of(next(iter(DOORS.values())), guard, mint(key=SECRET))


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
@pytest.mark.parametrize(
    "make",
    [
        ByProperty,
        BySlot,
        ByDelegation,
        lambda: ByInheritance(
            keys=[SECRET], algorithms=["HS256"], issuer=None, audience=None, now=lambda: NOW
        ),
        lambda: ByLookUp(keys=[SECRET], algorithms=["HS256"], issuer=None, audience=None),
    ],
    ids=["property", "slot", "delegation", "inheritance", "look-up"],
)
def test_verify_that_is_no_method_is_asked(make: Callable[[], Any], door: Door) -> None:
    guard = ScopeGuard({"GET /x": []}, verifier=make())
    assert status_of(door, guard, mint(key=SECRET, sub="mallory")) == 401
    assert status_of(door, guard, mint(key=SECRET, sub="alice")) == 200


class NoClaims(JWTVerifier[Claims]):
    """Returns what is no claims."""

    async def verify(self, token: str) -> Any:
        await super().verify(token)
        return {"scopes": ["a"]}


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_one_of_several_verifiers_that_returns_no_claims_lets_no_one_in(door: Door) -> None:
    one = NoClaims(
        keys=[SECRET],
        algorithms=["HS256"],
        issuer="https://one.example",
        audience=None,
        now=lambda: NOW,
    )
    guard = ScopeGuard({"GET /x": []}, verifier=IssuersVerifier([one]))
    assert status_of(door, guard, mint(key=SECRET, iss="https://one.example")) == 401


class Role:
    def __init__(self) -> None:
        self.grants: list[str] = []


class WithRoles(Claims):
    model_config = ConfigDict(frozen=True, extra="allow", arbitrary_types_allowed=True)

    roles: frozenset[Any] = frozenset()

    @model_validator(mode="before")
    @classmethod
    def make(cls, given: dict[str, Any]) -> dict[str, Any]:
        return {**given, "roles": frozenset({Role()})}


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_what_is_in_a_frozen_set_is_nobody_elses(door: Door) -> None:
    guard = ScopeGuard({"GET /x": []}, verifier=hmac_verifier(claims_model=WithRoles))
    app, found = door(guard), list[int]()

    async def endpoint(claims: Annotated[Any, Depends(guard)]) -> None:
        (role,) = claims.roles
        role.grants.append("admin")
        found.append(len(role.grants))

    app.add_api_route("/x", endpoint)
    headers = {"Authorization": f"Bearer {mint(key=SECRET)}"}
    for _ in range(3):
        assert TestClient(app).get("/x", headers=headers).status_code == 200
    assert found == [1, 1, 1]


class Closed(Claims):
    """Claims that refuse what they do not declare."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tenant: str = "none"


class Private(Claims):
    _seen: int = PrivateAttr(default=1)


class CopiesItself(Claims):
    """Claims with a copy of their own making."""

    def __copy__(self) -> Self:
        return self.model_construct(_fields_set=None, exp=self.exp, sub="copied")


class CopiesItsModel(Claims):
    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        return super().model_copy(update={**(update or {}), "sub": "copied"}, deep=deep)


@pytest.mark.parametrize(
    ("model", "more"),
    [
        (Claims, {}),
        (Claims, {"org": "acme", "level": 3, "ratio": 0.5, "none": None}),
        (Claims, {"org": {"roles": ["a"]}}),
        (Claims, {"aud": ["one", "two"]}),
        (Closed, {}),
        (Closed, {"tenant": "acme"}),
        (Private, {"org": "acme"}),
        (CopiesItself, {}),
        (CopiesItsModel, {}),
    ],
)
def test_copies_are_those_of_pydantic(model: type[Claims], more: dict[str, Any]) -> None:
    claims = model(exp=2**32, sub="alice", scopes=frozenset({"a:read"}), **more)
    shared = SharedClaims(claims)
    copied, expected = shared.copy(), claims.model_copy(deep=True)
    if model is not CopiesItself:
        assert copied == expected
        assert copied.model_fields_set == expected.model_fields_set
        assert copied.__pydantic_private__ == expected.__pydantic_private__
        assert copied.model_extra == expected.model_extra
    assert copied.sub == claims.model_copy().sub
    assert type(copied) is model
    assert copied is not claims
    assert copied.__dict__ is not claims.__dict__
    assert copied.model_fields_set is not claims.model_fields_set
    assert copied.model_extra is None or copied.model_extra is not claims.model_extra
    assert copied.model_dump_json() == claims.model_copy().model_dump_json()
