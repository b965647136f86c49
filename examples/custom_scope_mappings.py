"""Custom scope mappings on a real AgentOS, guarded by `ScopeGuard`.

    python examples/custom_scope_mappings.py [--host 127.0.0.1] [--port 7777] [--reload]

Four tokens are printed with ready-made curl lines. Nothing else is needed: the database is
an SQLite file and the model an offline one, unless the environment says otherwise:

    DATABASE_URL            postgresql+psycopg://ai:ai@localhost:5532/ai
    OPENAI_API_KEY          a key; OPENAI_BASE_URL for a server of the same kind
    JWT_VERIFICATION_KEY    the secret of the tokens, else a random one for every start
"""

import argparse
import os
import secrets
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import uvicorn
from agno.agent import Agent
from agno.db.base import BaseDb
from agno.db.postgres import PostgresDb
from agno.db.sqlite import SqliteDb
from agno.models.base import Model
from agno.models.openai import OpenAIChat
from agno.os import AgentOS
from agno.tools.duckduckgo import DuckDuckGoTools
from fastapi import FastAPI
from jose import jwt

from fastapi_scopes import JWTVerifier, ScopeGuard, agentos

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from offline_model import OfflineModel  # noqa: E402 - lies beside this file

SECRET_VARIABLE = "JWT_VERIFICATION_KEY"  # noqa: S105 - its name
# With one of these in the environment AgentOS puts a gate of its own inside.
GATE_VARIABLES = (SECRET_VARIABLE, "JWT_JWKS_FILE", "OS_SECURITY_KEY")

CUSTOM_SCOPES = {
    # Agents: whoever reads may list them, running one takes BOTH scopes.
    "GET /agents": ["app:read"],
    "GET /agents/*": ["app:read"],
    "POST /agents/*/runs": ["app:run", "app:execute"],
    # Sessions: only admins list them.
    "GET /sessions": ["app:admin"],
    "GET /sessions/*": ["app:read", "sessions:read"],
    # Memories.
    "GET /memories": ["memory:admin"],
    "POST /memories": ["memory:write"],
    # Configuration: only admins.
    "GET /config": ["app:admin"],
}
ADMIN_SCOPE = "app:superadmin"

CALLERS = {
    "basic": ("user_123", ["app:read"]),
    "power": ("user_456", ["app:read", "app:run", "app:execute"]),
    "admin": ("admin_789", ["app:admin", "app:read", "app:run", "app:execute"]),
    "superadmin": ("superadmin", [ADMIN_SCOPE]),
}


def mint(secret: str, subject: str, scopes: list[str]) -> str:
    """Return a token of *subject* with *scopes*, good for a day."""
    expires = datetime.now(UTC) + timedelta(hours=24)
    return str(jwt.encode({"sub": subject, "scopes": scopes, "exp": expires}, secret, "HS256"))


def database() -> BaseDb:
    """Return the database that DATABASE_URL names, else an SQLite file beside this one."""
    url = os.environ.get("DATABASE_URL", f"sqlite:///{HERE / 'custom_scope_mappings.db'}")
    return SqliteDb(db_url=url) if url.startswith("sqlite") else PostgresDb(db_url=url)


def model() -> Model:
    """Return OpenAI's model where there is a key, else one that needs no network."""
    return OpenAIChat(id="gpt-4o") if os.environ.get("OPENAI_API_KEY") else OfflineModel()


def build_agent() -> Agent:
    """Return the agent that the example serves."""
    return Agent(
        id="research-agent",
        name="Research Agent",
        model=model(),
        db=database(),
        tools=[DuckDuckGoTools()],
        markdown=True,
        telemetry=False,
    )


def create_app() -> FastAPI:
    """Return the guarded AgentOS; it starts only if every route of it is ruled."""
    secret = os.environ.get(SECRET_VARIABLE) or secrets.token_urlsafe(48)
    for name in GATE_VARIABLES:
        os.environ.pop(name, None)
    guard = ScopeGuard(
        agentos.scope_map(CUSTOM_SCOPES),
        verifier=JWTVerifier(
            keys=[secret],
            algorithms=["HS256"],
            scopes_claim="scopes",
            # These tokens name no issuer and no audience, as those of the original example;
            # tokens of an authorization server do, and then both belong here.
            issuer=None,
            audience=None,
        ),
        admin_scope=ADMIN_SCOPE,
        bind=agentos.bind_principal,
    )
    agent_os = AgentOS(
        id="my-agent-os",
        name="Custom Scope Mappings AgentOS",
        description="Custom Scope Mappings AgentOS",
        agents=[build_agent()],
        telemetry=False,
    )
    return guard.protect(agent_os.get_app())


def print_calls(tokens: dict[str, str], url: str) -> None:
    """Print the tokens, and what one may try with them."""
    run = f"-F message=hello -F stream=false {url}/agents/research-agent/runs"
    for name, token in tokens.items():
        print(f"export {name.upper()}_TOKEN={token}")
    print("\n# basic lists agents: 200")
    print(f'curl -i -H "Authorization: Bearer $BASIC_TOKEN" {url}/agents')
    print("# basic cannot run one, app:run and app:execute are missing: 403")
    print(f'curl -i -H "Authorization: Bearer $BASIC_TOKEN" {run}')
    print("# power can: 200")
    print(f'curl -i -H "Authorization: Bearer $POWER_TOKEN" {run}')
    print("# only admin lists sessions: 200")
    print(f'curl -i -H "Authorization: Bearer $ADMIN_TOKEN" {url}/sessions\n', flush=True)


def main() -> None:
    """Serve the example."""
    parser = argparse.ArgumentParser(description="custom scope mappings on a real AgentOS")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=7777)
    parser.add_argument("--reload", action="store_true")
    options = parser.parse_args()
    # The parent of a reloader keeps it, so that tokens outlive a reload.
    secret = os.environ.setdefault(SECRET_VARIABLE, secrets.token_urlsafe(48))
    tokens = {name: mint(secret, *caller) for name, caller in CALLERS.items()}
    print_calls(tokens, f"http://{options.host}:{options.port}")
    uvicorn.run(
        "custom_scope_mappings:create_app",
        factory=True,
        app_dir=str(HERE),
        host=options.host,
        port=options.port,
        reload=options.reload,
        reload_dirs=[str(HERE)] if options.reload else None,
    )


if __name__ == "__main__":
    main()
