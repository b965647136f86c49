"""Real AgentOS instances: a small one, and one with everything switched on."""

import sys
from pathlib import Path
from typing import Any

from agno.agent import Agent
from agno.company import CompanyConfig
from agno.db.sqlite import SqliteDb
from agno.job_queue import QueueConfig
from agno.job_queue.store import InMemoryQueueStore
from agno.knowledge.knowledge import Knowledge
from agno.os import AgentOS, Authorization
from agno.os.authz.admin_router import get_roles_router
from agno.os.interfaces.agui import AGUI
from agno.registry import Registry
from agno.team import Team
from agno.workflow import Step, Workflow
from fastapi import FastAPI

EXAMPLES = Path(__file__).parents[2] / "examples"
sys.path.insert(0, str(EXAMPLES))

from offline_model import OfflineModel  # noqa: E402 - lies in examples/


def make_agent(db: SqliteDb, name: str = "research-agent") -> Agent:
    return Agent(id=name, name=name, model=OfflineModel(), db=db, telemetry=False)


def make_agent_os(folder: Path, base_app: FastAPI | None = None, **settings: Any) -> AgentOS:
    db = SqliteDb(db_url=f"sqlite:///{folder / 'agentos.db'}")
    return AgentOS(
        id="an-os", agents=[make_agent(db)], base_app=base_app, telemetry=False, **settings
    )


def make_everything(folder: Path, base_app: FastAPI | None = None, *, mcp: bool) -> AgentOS:
    """Return an AgentOS with all that this version of agno can switch on."""
    db = SqliteDb(db_url=f"sqlite:///{folder / 'everything.db'}")
    if base_app is not None:
        roles = Authorization(verification_keys=["k" * 64], algorithm="HS256", db=db)
        roles.define_role("admin", ["agent_os:admin"])
        # As `authorization=` it would bring AgentOS's own gate; its routes are wanted alone.
        base_app.include_router(get_roles_router(roles))
    agent = make_agent(db)
    settings: dict[str, Any] = {
        "teams": [Team(id="a-team", members=[make_agent(db, "m1")], model=OfflineModel(), db=db)],
        "workflows": [
            Workflow(id="a-flow", db=db, steps=[Step(name="s", agent=make_agent(db, "m2"))])
        ],
        "knowledge": [Knowledge(name="kb", contents_db=db)],
        "interfaces": [AGUI(agent=agent)],
        "registry": Registry(models=[OfflineModel()]),
        "queue": QueueConfig(durable=True, db=InMemoryQueueStore()),
        "company": CompanyConfig(),
        "scheduler": True,
        "user_directory": True,
        "a2a_interface": True,
        "mcp": mcp,
    }
    return AgentOS(
        id="an-os", agents=[agent], db=db, base_app=base_app, telemetry=False, **settings
    )
