"""How the tests run: which of them, and in how many processes."""

import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from fastapi_scopes.events import process_log
from tests import fast, thinning

# A busy machine is no defect of what is tested.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Run a single file, or what is in it, in this process: to start others takes longer."""
    paths = {each.partition("::")[0] for each in config.args}
    return 0 if len(paths) == 1 and paths.pop().endswith(".py") else None


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return fast.is_left_out(collection_path, config) or None


# Before pytest itself chooses by `-m`.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    fast.mark(items)
    thinning.choose(config, items)


@pytest.fixture(autouse=True)
def fresh_process() -> Iterator[None]:
    """Have each test begin as a process does: nothing was refused yet, and no guard is watched."""
    process_log.restart()
    _forget_guards()
    yield
    _forget_guards()


def _forget_guards() -> None:
    # Not imported here: that takes a second, also where no test needs a guard.
    attachment = sys.modules.get("fastapi_scopes.guard.attachment")
    if attachment is not None:
        attachment.process_watch.forget()


def pytest_collection_finish() -> None:
    """Have the garbage collector leave alone what is there from now on.

    Tests that call it would each walk through all that was imported, for a second.
    """
    gc.collect()
    gc.freeze()
