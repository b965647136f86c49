"""The floors of design.md section 7: imports only go down."""

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

import fastapi_scopes

PACKAGE = Path(fastapi_scopes.__file__).parent
ROOT = "fastapi_scopes"

FLOORS = [
    ["errors"],
    ["core.scopes", "core.templates", "core.credentials"],
    ["core.methods", "core.endpoints", "core.grants", "core.claims", "core.requirements"],
    ["core.rules"],
    [
        *("core.scope_map", "core.notices", "core.dead_rules"),
        "verifiers.base",
        "verifiers._jose",
        "verifiers._clocks",
        "verifiers._encodings",
        "verifiers._http",
        "verifiers._settings",
        "verifiers.keyset",
    ],
    ["core.decisions", "core.coverage", "core.diff", "verifiers.keys"],
    ["core.problems", "verifiers.tokens", "verifiers.cache", "verifiers.revocation"],
    [
        *("verifiers.jwt", "verifiers.jwks", "verifiers.introspection", "verifiers.issuers"),
        "events",
    ],
    ["authorizer", "_routes", "responses"],
    ["perimeter", "openapi", "metadata", "streams"],
    ["guard"],
    ["routers"],
    ["agentos", "settings", "map_files"],
    ["testing", "cli"],
]
FLOOR_OF = {module: floor for floor, modules in enumerate(FLOORS) for module in modules}
# Packages that only gather what their modules define; nothing but the root imports them.
GATHERING = {"core", "verifiers"}


def name_of(path: Path) -> str:
    """The dotted name below the package: `core.templates.globs`; empty for the root."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text()) for name, path in SOURCES.items()}


def module_of(name: str) -> str | None:
    """The module of the plan that *name* is or is inside of."""
    parts = name.split(".")
    prefixes = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((prefix for prefix in prefixes if prefix in FLOOR_OF), None)


def imports_of(tree: ast.Module, name: str = "") -> Iterator[str]:
    """The dotted names that a module imports, wherever in it, as far as they are modules."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively"
            assert node.module is not None
            # `from a import b`: b may be a module of its own.
            inner = [f"{node.module}.{alias.name}".removeprefix(f"{ROOT}.") for alias in node.names]
            modules = [f"{ROOT}.{each}" for each in inner if each in SOURCES]
            yield from modules or [node.module]


def faults_in(name: str, tree: ast.Module) -> Iterator[str]:
    own = module_of(name)
    assert own is not None or name in {"", *GATHERING}, f"{name} is not in the plan"
    for imported in imports_of(tree, name):
        if imported == ROOT:
            yield f"{name} imports the root package"
        if not imported.startswith(f"{ROOT}."):
            continue
        inner = imported.removeprefix(f"{ROOT}.")
        if own is None:
            if name and not inner.startswith(f"{name}."):
                yield f"{name} gathers {inner}, which is not inside it"
            continue
        other = module_of(inner)
        if other is None:
            yield f"{name} imports {inner}, which only gathers"
        elif other != own and FLOOR_OF[other] >= FLOOR_OF[own]:
            yield f"{name} (F{FLOOR_OF[own]}) imports {inner} (F{FLOOR_OF[other]})"


@pytest.mark.parametrize("name", SOURCES)
def test_module_imports_only_from_lower_floors(name: str) -> None:
    assert list(faults_in(name, TREES[name])) == []


@pytest.mark.parametrize(
    ("name", "source", "is_fault"),
    [
        ("core.decisions", "from fastapi_scopes.core.scope_map import Rule", False),
        ("core.scope_map", "from fastapi_scopes.core.decisions import decide", True),
        ("core.scope_map", "from fastapi_scopes.core import decisions", True),
        ("core.scope_map", "import fastapi_scopes.core.decisions", True),
        ("core.claims", "from fastapi_scopes.core.grants import Grants", True),
        ("core.claims", "def f():\n    from fastapi_scopes.guard import ScopeGuard", True),
        ("guard", "import fastapi_scopes", True),
        ("guard", "from fastapi_scopes import Claims", True),
        ("guard", "from fastapi_scopes import _routes", False),
        ("guard", "from fastapi_scopes.verifiers import JWTVerifier", True),
        ("core.templates.globs", "from fastapi_scopes.core.templates.patterns import P", False),
        ("core.templates.globs", "from fastapi_scopes.core.scopes import S", True),
        ("verifiers", "from fastapi_scopes.verifiers.jwt import JWTVerifier", False),
        ("verifiers", "from fastapi_scopes.guard import ScopeGuard", True),
        ("agentos.routers", "from fastapi_scopes.agentos.preset import agentos_map", False),
        ("agentos.routers", "from fastapi_scopes.guard import ScopeGuard", False),
    ],
)
def test_floors_are_told_apart(name: str, source: str, is_fault: bool) -> None:
    assert bool(list(faults_in(name, ast.parse(source)))) is is_fault


WEB = {"fastapi", "starlette"}
IO = {"asyncio", "time", "logging", "httpx", "jose", "cryptography", "socket", "os", "datetime"}
FORBIDDEN = [("errors", WEB | IO), ("core", WEB | IO), ("verifiers", WEB)]


@pytest.mark.parametrize("name", SOURCES)
def test_module_stays_out_of_what_its_place_forbids(name: str) -> None:
    packages = {imported.split(".")[0] for imported in imports_of(TREES[name])}
    for place, forbidden in FORBIDDEN:
        if name == place or name.startswith(f"{place}."):
            assert packages & forbidden == set()
    assert ("jose" in packages) is (name == "verifiers._jose")


@pytest.mark.parametrize("name", [name for name in SOURCES if name.split(".")[0] == "core"])
def test_core_awaits_nothing(name: str) -> None:
    asynchronous = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    assert [node for node in ast.walk(TREES[name]) if isinstance(node, asynchronous)] == []


def length_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    # The signature of a constructor is as long as there are settings.
    start = function.body[0] if function.name == "__init__" else function
    return (function.end_lineno or function.lineno) - start.lineno + 1


LENGTHS = {
    f"{name}.{node.name}": length_of(node)
    for name, tree in TREES.items()
    for node in ast.walk(tree)
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
}


def test_no_function_is_longer_than_40_lines() -> None:
    assert {name: length for name, length in LENGTHS.items() if length > 40} == {}


def test_median_function_is_shorter_than_10_lines() -> None:
    assert statistics.median(LENGTHS.values()) < 10
