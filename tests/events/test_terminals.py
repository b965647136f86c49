"""What uvicorn and gunicorn show of refusals as they are started by default; and their workers."""

import re
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.apps import mint
from tests.events.terminals import Terminal
from tests.pages import DOCS, python_of

UVICORN = ("uvicorn", "module:app", "--host", "{host}", "--port", "{port}")
GUNICORN = ("gunicorn", "module:app", "--bind", "{address}", "-k")
WORKERS = ("uvicorn_worker.UvicornWorker", "uvicorn.workers.UvicornWorker")
SERVERS = [
    pytest.param(UVICORN, id="uvicorn"),
    *(pytest.param((*GUNICORN, worker), id=worker) for worker in WORKERS),
]
[OF_THE_PAGE] = [
    each for each in python_of(DOCS / "log-decisions.md") if "logging.basicConfig" in each
]
LOG_AT_INFO = {
    "all": "import logging\nlogging.basicConfig(level=logging.INFO)\n",
    "as on the page": OF_THE_PAGE,
}

Serve = Callable[..., Terminal]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    def start(command: tuple[str, ...], *options: str, code: str = "") -> Terminal:
        if command[0] == "gunicorn":
            pytest.importorskip("gunicorn", reason="gunicorn is not installed")
        return Terminal(tmp_path, *command, *options, code=code)

    return start


@pytest.mark.parametrize("command", SERVERS)
def test_first_refusal_of_a_kind_is_on_the_terminal(serve: Serve, command: tuple[str, ...]) -> None:
    tokens = [mint("other", jti=f"t{number}") for number in range(3)]
    with serve(command) as terminal:
        assert [terminal.get("/agents", each).status_code for each in tokens] == [403] * 3
        # The refusals before it were written before it.
        assert terminal.get("/agents").status_code == 401
        terminal.wait_until(lambda: "missing_credentials" in terminal.told)
        first, second = [each for each in terminal.stderr if "refused" in each]
        assert first == (
            "refused GET on /agents: insufficient_scope, missing 'agents:read' (403, rule"
            " 'GET /agents', sub 'alice', jti 't0'); the first of this kind,"
            " see docs/refused.md#insufficient_scope"
        )
        assert second.startswith("refused GET on /agents: missing_credentials (401, ")
        terminal.end()
        # The end of the process tells of those that were only counted.
        assert terminal.told.count("refused: insufficient_scope; 2 of this kind in the last ") == 1
        assert not any(part in terminal.told for each in tokens for part in each.split("."))


@pytest.mark.parametrize("code", LOG_AT_INFO.values(), ids=LOG_AT_INFO)
@pytest.mark.parametrize("command", SERVERS)
def test_every_refusal_is_a_line_where_the_application_logs_at_info(
    serve: Serve, command: tuple[str, ...], code: str
) -> None:
    with serve(command, code=code) as terminal:
        for number in range(3):
            terminal.get("/agents", mint("other", jti=f"t{number}"))
        terminal.wait_until(lambda: "jti 't2'" in terminal.told)
        lines = [each for each in terminal.stderr if "refused" in each]
        levels = [re.match(r"(\w+)(?: fastapi_scopes:|:fastapi_scopes:)", each) for each in lines]
        assert [each and each[1] for each in levels] == ["WARNING", "INFO", "INFO"]
        assert all("missing 'agents:read'" in each for each in lines)


def test_hook_gets_the_events_of_every_worker_that_is_forked_from_a_loaded_app(
    serve: Serve,
) -> None:
    """The app has decided, and the thread of its hook has run, in the process that is forked."""
    command = (*GUNICORN, WORKERS[0])
    code = '\nTestClient(app).get("/agents")\n'
    with serve(command, "--preload", "--workers", "2", code=code) as terminal:
        served: Counter[int] = Counter()

        def both_have_served() -> bool:
            with ThreadPoolExecutor(4) as threads:
                answers = threads.map(terminal.get, ["/busy"] * 4)
                served.update(answer.json() for answer in answers)
            return len(served) == 2

        terminal.wait_until(both_have_served)

        def arrived(template: str) -> Counter[int]:
            return Counter(pid for pid, each in terminal.events if each == template)

        terminal.wait_until(lambda: arrived("/busy") == served)
        [first] = arrived("/agents")
        assert first not in served
