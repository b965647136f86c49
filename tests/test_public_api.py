"""The root names of design.md section 4, and that their types ship."""

import ast
import subprocess
import sys
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from types import ModuleType

import pytest

import fastapi_scopes

PACKAGE = Path(fastapi_scopes.__file__).parent
PLANNED = {
    *("ScopeGuard", "ScopeMap", "Claims", "Decision", "Coverage", "all_of", "any_of"),
    *("PUBLIC", "OPTIONAL", "AUTHENTICATED", "DENY"),
    *("TokenVerifier", "JWTVerifier", "JWKSVerifier", "RouterFactory"),
}


def test_root_names_are_exactly_those_of_the_plan() -> None:
    assert sorted(fastapi_scopes.__all__) == sorted(PLANNED)
    public = {name for name in dir(fastapi_scopes) if not name.startswith("_")}
    modules = {name for name in public if isinstance(getattr(fastapi_scopes, name), ModuleType)}
    assert public - modules - {"TYPE_CHECKING", "import_module"} == PLANNED


def test_root_names_are_sorted() -> None:
    # Constants, classes, functions: the order that ruff keeps (RUF022).
    def place(name: str) -> tuple[int, str]:
        return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)

    assert list(fastapi_scopes.__all__) == sorted(fastapi_scopes.__all__, key=place)


def imports_for_checkers() -> dict[str, str]:
    """The root names by the module that a type checker is told for each."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: str(node.module) for node in imports for alias in node.names}


@pytest.mark.parametrize("name", sorted(PLANNED))
def test_root_name_is_that_of_the_module_that_checkers_see(name: str) -> None:
    home = import_module(imports_for_checkers()[name])
    assert getattr(fastapi_scopes, name) is getattr(home, name)
    assert name in home.__all__


def run(code: str) -> str:
    """What *code* prints in a process of its own."""
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_star_import_gives_every_root_name() -> None:
    found = run("from fastapi_scopes import *; print(*dir())").split()
    assert {name for name in found if not name.startswith("_")} == PLANNED


def test_misspelt_root_name_raises_the_usual_error() -> None:
    with pytest.raises(AttributeError) as raised:
        fastapi_scopes.ScopeGaurd  # type: ignore[attr-defined]  # noqa: B018
    assert str(raised.value) == "module 'fastapi_scopes' has no attribute 'ScopeGaurd'"
    with pytest.raises(ImportError, match="cannot import name 'ScopeGaurd'"):
        exec("from fastapi_scopes import ScopeGaurd")  # noqa: S102


IN_THREADS = """
import sys, threading
import fastapi_scopes
sys.setswitchinterval(1e-6)
names, found, count = list(fastapi_scopes.__all__), [], 8
start = threading.Barrier(count)
def resolve(number):
    start.wait()
    turn = number * len(names) // count
    found.append({name: id(getattr(fastapi_scopes, name)) for name in names[turn:] + names[:turn]})
threads = [threading.Thread(target=resolve, args=(number,)) for number in range(count)]
for each in threads: each.start()
for each in threads: each.join()
print(len(found), all(each == found[0] for each in found))
"""


def test_threads_that_ask_at_once_get_the_same_objects() -> None:
    assert run(IN_THREADS).split() == ["8", "True"]


HEAVY = ["fastapi", "starlette", "httpx", "httpcore", "anyio", "jose", "cryptography"]
LIGHT = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in (PACKAGE / "__init__.py", PACKAGE / "errors.py", *PACKAGE.glob("core/**/*.py"))
)
LOADED = f"""
import sys
from importlib import import_module
for name in {LIGHT}:
    import_module(name)
    for heavy in {HEAVY}:
        assert heavy not in sys.modules, f"{{name}} loads {{heavy}}"
"""


def test_core_loads_no_framework_and_no_client_and_no_signature_engine() -> None:
    assert len(LIGHT) > 20
    run(LOADED)


def test_map_loads_no_pydantic() -> None:
    run("import sys; from fastapi_scopes import ScopeMap; assert 'pydantic' not in sys.modules")


def test_types_ship() -> None:
    assert files("fastapi_scopes").joinpath("py.typed").is_file()
