"""fastapi-authz: Casbin's middleware, behind Starlette's with a backend of PyJWT."""

from casbin import Enforcer, persist
from casbin.model import Model
from fastapi import FastAPI
from fastapi_authz import CasbinMiddleware
from jwt import InvalidTokenError, decode
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection

from benchmarks.peers.issuer import Issuer
from benchmarks.routes import make_app, templates
from benchmarks.tokens import AUDIENCE, SCOPE, SECRET

MODEL = """
[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.sub == p.sub && keyMatch2(r.obj, p.obj) && r.act == p.act
"""


class Backend(AuthenticationBackend):
    """Tells the one scope of the token as the name of the user."""

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, SimpleUser] | None:
        token = conn.headers.get("authorization", "").removeprefix("Bearer ")
        try:
            claims = decode(token, SECRET, algorithms=["HS256"], audience=AUDIENCE)
        except InvalidTokenError:
            return None
        return AuthCredentials(["authenticated"]), SimpleUser(claims.get("scope", ""))


class Policy(persist.Adapter):
    """One line for each route."""

    def __init__(self, routes: int) -> None:
        self._templates = templates(routes)

    def load_policy(self, model: Model) -> None:
        for template in self._templates:
            path = template.replace("{i}", ":i")
            persist.load_policy_line(f"p, {SCOPE}, {path}, GET", model)


def guarded(routes: int, issuer: Issuer) -> FastAPI:  # noqa: ARG001
    model = Model()
    model.load_model_from_text(MODEL)
    app = make_app(routes)
    app.add_middleware(CasbinMiddleware, enforcer=Enforcer(model, Policy(routes)))
    app.add_middleware(AuthenticationMiddleware, backend=Backend())
    return app
