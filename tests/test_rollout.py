"""`report_until` and `report_anonymous`: what may be written, and what is said of it."""

import logging
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from fastapi_scopes.errors import ConfigurationError
from tests.apps import bearer, make_guard
from tests.perimeter.calling import Opaque, running

NOW = datetime(2027, 1, 1, tzinfo=UTC)
SOON = NOW + timedelta(days=3)
RULES = {"GET /a": "a", "GET /old/{name}": "a"}


def problems_with(**options: Any) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        make_guard(RULES, now=NOW.timestamp, **options)
    return [*map(str, caught.value.problems)]


ZONE = "pass a datetime with a time zone, such as datetime(2027, 1, 1, tzinfo=UTC)"


@pytest.mark.parametrize(
    ("moment", "said"),
    [
        (SOON.replace(tzinfo=None), f"report_until has no time zone; {ZONE}"),
        ("2026-12-24", f"report_until is a 'str'; {ZONE}"),
        (1_800_000_000.0, f"report_until is a 'float'; {ZONE}"),
        (date(2026, 12, 24), f"report_until is a 'date'; {ZONE}"),
        (True, f"report_until is a 'bool'; {ZONE}"),
        (
            NOW + timedelta(days=30, seconds=1),
            "report_until is more than 30 days ahead; name an earlier moment",
        ),
    ],
    ids=["naive", "text", "number", "date", "flag", "far"],
)
def test_moment_is_a_datetime_with_a_zone_and_near(moment: Any, said: str) -> None:
    assert problems_with(report_until=moment) == [said]


@pytest.mark.parametrize(
    "moment",
    [
        NOW + timedelta(days=30),
        (NOW + timedelta(days=1)).astimezone(timezone(timedelta(hours=14))),
        datetime(1970, 1, 1, tzinfo=UTC),
    ],
    ids=["in-30-days", "another-zone", "long-ago"],
)
def test_moment_within_30_days_is_taken(moment: datetime) -> None:
    make_guard(RULES, report_until=moment, now=NOW.timestamp)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"report_anonymous": ["GET /a"]},
            ["report_anonymous is without report_until; leave it out"],
        ),
        (
            {
                "report_until": SOON,
                "report_anonymous": ["GET /a"],
                "bind": print,
            },
            ["report_anonymous goes not with bind=; leave it out"],
        ),
        (
            {"report_until": SOON, "report_anonymous": "GET /a"},
            ["report_anonymous is no list of keys; write ['GET /old/**']"],
        ),
        (
            {"report_until": SOON, "report_anonymous": ["/a"]},
            [
                "report_anonymous: '/a': a key is 'METHOD /template'; "
                "write one space between: 'GET /items'"
            ],
        ),
    ],
    ids=["without-a-moment", "with-bind", "text", "no-key"],
)
def test_keys_for_callers_without_credentials_are_keys_of_a_map(
    options: dict[str, Any], said: list[str]
) -> None:
    assert problems_with(**options) == said


def test_all_that_is_wrong_is_named_at_once() -> None:
    found = problems_with(
        report_until="tomorrow", report_anonymous=["GET"], on_decision=7, subject_key="x"
    )
    assert [each.split(" ")[0].strip(":") for each in found] == [
        "on_decision",
        "subject_key",
        "report_anonymous",
        "report_until",
    ]


def test_start_warns_of_what_is_let_through(caplog: pytest.LogCaptureFixture) -> None:
    for keys in ([], ["GET /old/*"]):
        make_guard(RULES, report_until=SOON, report_anonymous=keys, now=NOW.timestamp)
    moment = SOON.isoformat()
    assert caplog.messages == [
        f"until {moment} who lacks scopes is reported and let through",
        f"until {moment} who lacks scopes is reported and let through, "
        "and callers without credentials at 'GET /old/*'",
    ]
    assert {each.levelname for each in caplog.records} == {"WARNING"}


def test_start_after_the_moment_says_that_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "fastapi_scopes")
    make_guard(RULES, report_until=NOW, now=NOW.timestamp)
    assert caplog.messages == ["report_until is over, everything is enforced; take it out"]


def make_app() -> FastAPI:
    app = FastAPI(openapi_url=None)
    app.add_api_route("/a", running("a"))
    app.add_api_route("/old/{name}", running("old"))
    app.mount("/files", Opaque("files"))
    return app


@pytest.mark.parametrize("protects", [True, False], ids=["perimeter", "dependency"])
def test_each_key_must_match_an_endpoint(protects: bool) -> None:
    rules = {**RULES, "* /files/**": "a"}
    keys = [
        "GET /old/*",
        "* /old/**",
        "GET /files/**",
        "MOUNT /files",
        "HEAD /files/**",
        "GET /older/*",
    ]
    guard = make_guard(rules, report_until=SOON, report_anonymous=keys, now=NOW.timestamp)
    app = make_app()
    if protects:
        guard.protect(app)
    found = [each for each in guard.check(app).problems if "report_anonymous" in each]
    assert found == [
        "report_anonymous: 'GET /older/*' matches no endpoint; "
        "write the template of a route as its app has it, or take it out"
    ]
    with pytest.raises(ConfigurationError, match="report_anonymous: 'GET /older/"):
        guard.check(app, raise_on_gap=True)
    if protects:
        with pytest.raises(ConfigurationError, match="report_anonymous"), TestClient(app):
            pass


def test_report_is_a_line_of_its_own_kind(caplog: pytest.LogCaptureFixture) -> None:
    guard = make_guard(RULES, report_until=SOON, now=NOW.timestamp)
    app = make_app()
    caplog.set_level(logging.INFO, "fastapi_scopes")
    with TestClient(guard.protect(app, strict=False)) as client:
        caplog.clear()
        for _ in range(2):
            assert client.get("/a", headers=bearer("x")).status_code == 200
    said = (
        "reported, not refused: GET on /a: insufficient_scope, missing 'a' "
        "(rule 'GET /a', sub 'alice')"
    )
    lines = [each for each in caplog.records if "reported" in each.getMessage()]
    assert lines[0].getMessage() == (
        f"{said}; the first of this kind, see docs/refused.md#insufficient_scope"
    )
    assert (lines[1].getMessage(), lines[1].levelname) == (said, "INFO")
