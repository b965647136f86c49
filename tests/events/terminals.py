"""An application of a user under a real server, and what that writes on the terminal."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import httpx

from tests.apps import SECRET
from tests.issuers.ports import LOOPBACK, HeldPort

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
SETTINGS = ("GUNICORN_", "UVICORN_", "WEB_CONCURRENCY")

MODULE = f'''
import os
import time
from pathlib import Path

from fastapi import FastAPI
from fastapi.testclient import TestClient

from fastapi_scopes import PUBLIC, JWTVerifier, ScopeGuard


def write(event):
    with Path("events.log").open("a") as events:
        events.write(f"{{os.getpid()}} {{event.template}}\\n")


verifier = JWTVerifier(keys=["{SECRET}"], algorithms=["HS256"], issuer=None, audience=None)
rules = {{"GET /health": PUBLIC, "GET /busy": PUBLIC, "GET /agents": "agents:read"}}
guard = ScopeGuard(rules, verifier=verifier, on_decision=write)
app = FastAPI(openapi_url=None)


@app.get("/health")
async def health():
    return "ok"


@app.get("/busy")
async def busy():
    # Whoever comes meanwhile is served by another worker.
    time.sleep(0.2)
    return os.getpid()


@app.get("/agents")
async def agents():
    return []


guard.protect(app)
'''


class Terminal:
    """An app in *folder*, served by *command* on a port of its own; a context manager.

    The app is MODULE and *code*.
    """

    def __init__(self, folder: Path, *command: str, code: str = "") -> None:
        self._port = HeldPort()
        self._folder = folder
        self.address = f"{LOOPBACK}:{self._port.number}"
        (folder / "module.py").write_text(MODULE + code)
        names = {k: v for k, v in os.environ.items() if not k.startswith(SETTINGS)}
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        filled = [
            each.format(address=self.address, host=LOOPBACK, port=self._port.number)
            for each in command
        ]
        with (folder / "out").open("w") as out, (folder / "err").open("w") as err:
            # In a group of its own, so that its workers end with it.
            self._process = subprocess.Popen(
                [sys.executable, "-m", *filled],
                cwd=folder,
                env={**names, "PYTHONPATH": os.pathsep.join(paths)},
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        try:
            self.wait_until(lambda: self._answers)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.end()
        finally:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
            self._port.close()

    def end(self) -> None:
        """Have the server end as it does by itself."""
        self._process.terminate()
        self._process.wait(PATIENCE)

    def get(self, path: str, token: str | None = None) -> httpx.Response:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        url = f"http://{self.address}{path}"
        return httpx.get(url, headers=headers, timeout=PATIENCE, trust_env=False)

    def wait_until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not holds():
            assert self._process.poll() is None, self.told
            assert time.monotonic() < deadline, self.told
            time.sleep(0.05)

    @property
    def _answers(self) -> bool:
        try:
            return self.get("/health").is_success
        except httpx.TransportError:
            return False

    @property
    def stderr(self) -> list[str]:
        return (self._folder / "err").read_text().splitlines()

    @property
    def told(self) -> str:
        """All that is on the terminal."""
        return "".join((self._folder / name).read_text() for name in ("out", "err"))

    @property
    def events(self) -> list[tuple[int, str]]:
        """The process and the template of each event that the hook has had."""
        file = self._folder / "events.log"
        lines = file.read_text().splitlines() if file.exists() else []
        return [(int(pid), template) for pid, template in map(str.split, lines)]
