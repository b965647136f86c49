"""An API on whose docs page people sign in; it serves the bundle of that page itself."""

from pathlib import Path

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html, get_swagger_ui_oauth2_redirect_html
from fastapi.responses import HTMLResponse
from fastapi.security import OAuth2AuthorizationCodeBearer
from fastapi.staticfiles import StaticFiles

from fastapi_scopes import PUBLIC, JWKSVerifier, ScopeGuard, ScopeMap, any_of
from tests.browser.bundle_files import ICON, PUBLIC_CLIENT, SCRIPT, STYLE, AuthorizationServer

API = "https://shop.example"
REDIRECT_PATH = "/docs/oauth2-redirect"
ALL_SCOPES = {
    "orders:read": "Read orders",
    "orders:write": "Place orders",
    "reports:read": "Read reports",
}
PRESELECTED = ["orders:read", "reports:read"]

SCOPE_MAP = ScopeMap(
    {
        "GET /docs": PUBLIC,
        f"GET {REDIRECT_PATH}": PUBLIC,
        "GET /openapi.json": PUBLIC,
        "GET /swagger-ui/**": PUBLIC,
        "GET /health": PUBLIC,
        "GET /orders": "orders:read",
        "POST /orders": ["orders:read", "orders:write"],
        "GET /reports": any_of("reports:read", "orders:write"),
    },
    descriptions=ALL_SCOPES,
)


def make_issuer() -> AuthorizationServer:
    """Return an authorization server with a public client for the docs page of any port."""
    return AuthorizationServer(
        {"back office": list(ALL_SCOPES)},
        resources={API: "RS256"},
        redirect_uris=[f"http://127.0.0.1{REDIRECT_PATH}"],
    )


def make_shop(issuer: AuthorizationServer, bundle: Path) -> FastAPI:
    """Return the API, which takes access tokens of *issuer*."""
    app = FastAPI(title="Shop", docs_url=None, redoc_url=None)
    orders = ["a book"]

    @app.get("/health")
    async def read_health() -> str:
        return "ok"

    @app.get("/orders")
    async def read_orders() -> list[str]:
        return orders

    @app.post("/orders")
    async def place_order(thing: str) -> list[str]:
        orders.append(thing)
        return orders

    @app.get("/reports")
    async def read_reports() -> int:
        return len(orders)

    _add_docs(app, bundle)
    guard = ScopeGuard(
        SCOPE_MAP,
        verifier=JWKSVerifier(issuer=issuer.issuer, audience=API, strict=True, allow_http=True),
        realm="shop",
        security_scheme=OAuth2AuthorizationCodeBearer(
            authorizationUrl=issuer.metadata["authorization_endpoint"],
            tokenUrl=issuer.metadata["token_endpoint"],
            scheme_name="Shop",
        ),
    )
    return guard.protect(app)


def _add_docs(app: FastAPI, bundle: Path) -> None:
    app.mount("/swagger-ui", StaticFiles(directory=bundle))

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title="Shop",
            oauth2_redirect_url=REDIRECT_PATH,
            swagger_js_url=f"/swagger-ui/{SCRIPT}",
            swagger_css_url=f"/swagger-ui/{STYLE}",
            swagger_favicon_url=f"/swagger-ui/{ICON}",
            init_oauth={
                "clientId": PUBLIC_CLIENT,
                "usePkceWithAuthorizationCodeGrant": True,
                "scopes": " ".join(PRESELECTED),
                # Which API the token is for (RFC 8707).
                "additionalQueryStringParams": {"resource": API},
            },
        )

    @app.get(REDIRECT_PATH, include_in_schema=False)
    async def oauth2_redirect() -> HTMLResponse:
        return get_swagger_ui_oauth2_redirect_html()
