"""Where there is no Chromium, these tests are skipped, and never in CI."""

from pathlib import Path

import pytest

from tests.browser.chromium import NoChromiumError, find_chromium, skip_unless_ci


@pytest.mark.parametrize(
    ("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)]
)
def test_missing_chromium_fails_in_ci_and_skips_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ci: str, outcome: type[BaseException]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoChromiumError, match="no chromium on PATH") as missing:
        find_chromium()
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="no chromium"):
        skip_unless_ci(str(missing.value))
