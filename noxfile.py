"""The checks of this project; `.ci/run` calls them, and CONTRIBUTING.md says how you do.

Each session makes an environment of its own; with ``--no-venv`` it runs in the one at hand.
"""

import tempfile
import tomllib
from pathlib import Path
from shutil import copytree, ignore_patterns

import nox

PROJECT = tomllib.loads(Path("pyproject.toml").read_text())["project"]
LOWEST_FASTAPI = next(
    each.replace(">=", "==") for each in PROJECT["dependencies"] if each.startswith("fastapi>=")
)
# What the fast tests ask for.
FAST_EXTRAS = "agentos,edge,redis,settings"
AGNO = next(each for each in PROJECT["optional-dependencies"]["test"] if each.startswith("agno["))

nox.options.sessions = ["fast"]


@nox.session
def fast(session: nox.Session) -> None:
    """Run the tests that answer within a minute."""
    _install(session, "test")
    _pytest(session, "-m", "fast", *session.posargs)


@nox.session
def full(session: nox.Session) -> None:
    """Run the tests that `python -m pytest` leaves out."""
    _install(session, "test")
    _pytest(session, "-m", "full", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, spelling and import contracts."""
    _install(session, "lint")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("codespell")
    session.run("lint-imports")


@nox.session
def types(session: nox.Session) -> None:
    """Check types, and that the public ones are complete."""
    _install(session, "test")
    session.run("mypy")
    session.run("pyright")
    session.run("pyright", "--verifytypes", "fastapi_scopes", "--ignoreexternal")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation; what is wrong in it is an error."""
    _install(session, "docs")
    with tempfile.TemporaryDirectory() as site:
        build = ["mkdocs", "build", "--strict", "--quiet", "--site-dir", site]
        session.run(*build, env={"NO_MKDOCS_2_WARNING": "1"})


@nox.session
def lowest(session: nox.Session) -> None:
    """Run what needs no AgentOS, browser, issuer or MCP server with the lowest FastAPI.

    The branch coverage of core, verifiers and errors is measured here, so that no test runs for
    that alone.
    """
    session.install("-e", ".[edge,issuer,redis,settings]", LOWEST_FASTAPI)
    _show_versions(session)
    left_out = ["agentos", "browser", "issuers", "test_mcp_from_fastapi.py"]
    left_out += ["test_no_token_at_import.py", "test_readme.py", "test_typing.py"]
    _pytest(
        session,
        *(f"--ignore=tests/{each}" for each in left_out),
        *("--cov", "--cov-report=term-missing:skip-covered", "--cov-fail-under=99"),
        *session.posargs,
    )


@nox.session(python=["3.11", "3.12", "3.13"])
def wheel(session: nox.Session) -> None:
    """Install the wheel, and run the fast tests on it, of which each module must be run."""
    with tempfile.TemporaryDirectory() as folder:
        build = ["pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, "."]
        session.run("python", "-m", *build)
        [built] = Path(folder).glob("*.whl")
        session.install(f"fastapi-scopes[{FAST_EXTRAS}] @ {built.as_uri()}", AGNO)
        _show_versions(session)
        # All but the package itself: it is to be found where it is installed.
        ignored = ignore_patterns("fastapi_scopes", "node_modules", ".*")
        copytree(".", folder, dirs_exist_ok=True, ignore=ignored)
        with session.chdir(folder):
            _pytest(session, "-m", "fast", "--cov=fastapi_scopes", "--cov-report=json")
            session.run("python", "-m", "tests.modules_run", "coverage.json")


@nox.session
def long(session: nox.Session) -> None:
    """Run what takes hours: ``nox -s long``, by hand."""
    _install(session, "test")
    session.run("python", "-m", "tests.fuzz", "--requests", "1000000")
    session.run("python", "-m", "benchmarks.soak", "--minutes", "60")
    for name in ("guard_overhead", "hostile_targets", "route_lookup", "start_up"):
        session.run("python", "-m", f"benchmarks.{name}")


def _install(session: nox.Session, extra: str) -> None:
    if session.venv_backend != "none":
        session.install("-e", f".[{extra}]")


def _pytest(session: nox.Session, *arguments: str) -> None:
    session.run("python", "-m", "pytest", *arguments)


def _show_versions(session: nox.Session) -> None:
    show = "import sys, fastapi, fastapi_scopes as own; print(*sys.version_info[:3], sep='.'); "
    session.run("python", "-P", "-c", f"{show}print(fastapi.__version__, own.__file__)")
