"""The files whose tests run with ``-m fast``: those that take seconds, and run every module.

They need the extras `agentos`, `edge`, `redis` and `settings`, and no source tree of the package.
"""

from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
FILES = (
    "agentos/test_preset.py",
    "agentos/test_principal.py",
    "agentos/test_routers.py",
    "attacks/test_claims.py",
    "attacks/test_code_in_between.py",
    "attacks/test_late_*.py",
    "attacks/test_routes.py",
    "attacks/test_token_scopes.py",
    "core/test_*.py",
    "events/test_delivery.py",
    "events/test_log_decisions.py",
    "events/test_open_telemetry.py",
    "events/test_record_factories.py",
    "events/test_refusal_log.py",
    "events/test_several_hooks.py",
    "perimeter/test_bind.py",
    "perimeter/test_check_*.py",
    "perimeter/test_end_by_clock.py",
    "perimeter/test_hide_unknown.py",
    "perimeter/test_late_gaps.py",
    "perimeter/test_led_back.py",
    "perimeter/test_overrides.py",
    "perimeter/test_protect.py",
    "routes/test_*.py",
    "test_check.py",
    "test_codes.py",
    "test_corpus.py",
    "test_decision_events.py",
    "test_errors.py",
    "test_explain.py",
    "test_guard.py",
    "test_metadata.py",
    "test_openapi*.py",
    "test_public_api.py",
    "test_rollout.py",
    "test_routers.py",
    "test_settings.py",
    "verifiers/test_introspection_cache.py",
    "verifiers/test_issuers.py",
    "verifiers/test_jwks.py",
    "verifiers/test_jwks_discovery.py",
    "verifiers/test_jwks_log.py",
    "verifiers/test_jwks_rotation.py",
    "verifiers/test_jwt.py",
    "verifiers/test_key_choice.py",
    "verifiers/test_keyset.py",
    "verifiers/test_memory_revocation.py",
    "verifiers/test_options.py",
    "verifiers/test_redis_revocation.py",
    "verifiers/test_revocation.py",
    "verifiers/test_token_cache.py",
)


def is_fast(path: Path) -> bool:
    """Tell whether the tests of the file at *path* run with ``-m fast``."""
    if not path.is_relative_to(TESTS):
        return False
    name = path.relative_to(TESTS).as_posix()
    return any(fnmatch(name, pattern) for pattern in FILES)


def is_left_out(path: Path, config: pytest.Config) -> bool:
    """Tell whether to leave out *path*: to import all files takes half of the minute."""
    if config.option.markexpr != "fast":
        return False
    if path.is_dir():
        return path.parent == TESTS and not any(each.startswith(f"{path.name}/") for each in FILES)
    return path.suffix == ".py" and not is_fast(path)


def mark(items: Iterable[pytest.Item]) -> None:
    """Mark the tests of the fast files."""
    for item in items:
        if is_fast(item.path):
            item.add_marker("fast")
