"""A resource knows who asked and how many at once, and keeps answers back until told."""

import asyncio
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import httpx
import pytest

from tests.issuers.answers import Answer, HangUp, Silence
from tests.issuers.asking import get, make_client
from tests.issuers.faulty import FaultyIssuer


def ask_at_once(pool: ThreadPoolExecutor, url: str, times: int) -> list[Future[httpx.Response]]:
    return [pool.submit(get, url) for _ in range(times)]


def test_requests_are_counted_per_path() -> None:
    with FaultyIssuer() as issuer, ThreadPoolExecutor(8) as pool:
        for each in ask_at_once(pool, issuer.key_set.url, 40):
            each.result()
        get(issuer.metadata.url)

        assert issuer.key_set.count == 40
        assert issuer.metadata.count == 1
        assert issuer.introspection.count == 0


def test_requests_are_kept_as_they_came() -> None:
    with FaultyIssuer() as issuer:
        get(f"{issuer.key_set.url}?a=1", headers={"Accept": "application/json"})
        (request,) = issuer.key_set.requests

        assert (request.method, request.target, request.path) == ("GET", "/jwks?a=1", "/jwks")
        assert request.values_of("accept") == ["application/json"]
        assert request.values_of("authorization") == []


def test_one_after_the_other_is_one_at_once() -> None:
    with FaultyIssuer() as issuer, make_client() as client:
        for ask in (client.get, get) * 20:
            assert ask(issuer.key_set.url).status_code == 200

        assert issuer.key_set.count == 40
        assert issuer.key_set.most_at_once == 1


def test_held_answers_wait_for_release() -> None:
    with FaultyIssuer() as issuer, ThreadPoolExecutor(5) as pool:
        issuer.key_set.hold()
        asking = ask_at_once(pool, issuer.key_set.url, 5)
        issuer.key_set.wait_for(5)

        assert not any(each.done() for each in asking)
        assert issuer.key_set.unanswered == issuer.key_set.most_at_once == 5
        assert get(issuer.metadata.url).status_code == 200
        issuer.key_set.release()
        assert [each.result().status_code for each in asking] == [200] * 5
        issuer.key_set.wait_until_idle()
        assert get(issuer.key_set.url).status_code == 200


def test_held_answer_is_what_it_was_when_asked() -> None:
    with FaultyIssuer() as issuer, ThreadPoolExecutor(1) as pool:
        old = issuer.signing_key
        issuer.key_set.hold()
        (asking,) = ask_at_once(pool, issuer.key_set.url, 1)
        issuer.key_set.wait_for(1)
        issuer.rotate()
        issuer.key_set.release()

        assert asking.result().json() == {"keys": [old.jwk]}
        assert len(get(issuer.key_set.url).json()["keys"]) == 2


def test_holding_and_releasing_twice_does_no_harm() -> None:
    with FaultyIssuer() as issuer, ThreadPoolExecutor(1) as pool:
        issuer.key_set.release()
        issuer.key_set.hold()
        (asking,) = ask_at_once(pool, issuer.key_set.url, 1)
        issuer.key_set.wait_for(1)
        issuer.key_set.hold()
        issuer.key_set.release()
        issuer.key_set.release()

        assert asking.result().status_code == 200


def test_outage_ends_held_requests() -> None:
    with FaultyIssuer() as issuer, ThreadPoolExecutor(1) as pool:
        issuer.key_set.hold()
        (asking,) = ask_at_once(pool, issuer.key_set.url, 1)
        issuer.key_set.wait_for(1)
        issuer.stop()

        assert isinstance(asking.exception(), httpx.TransportError)
        assert issuer.key_set.unanswered == 0


@pytest.mark.parametrize(
    "behaviour",
    [Silence(), lambda good: good.late(60), lambda good: good.dripping(1)],
    ids=["silent", "late", "dripping"],
)
def test_client_that_gave_up_is_not_waiting(behaviour: Any) -> None:
    with FaultyIssuer() as issuer:
        issuer.key_set.switch(behaviour)
        for count in (1, 2, 3):
            with pytest.raises(httpx.ReadTimeout):
                get(issuer.key_set.url, timeout=httpx.Timeout(5, read=0.05))
            issuer.key_set.wait_for(count)
            issuer.key_set.wait_until_idle()

        assert issuer.key_set.count == 3
        assert issuer.key_set.most_at_once == 1


def test_waiting_for_a_request_that_never_comes_fails() -> None:
    with FaultyIssuer() as issuer, pytest.raises(TimeoutError, match="0 requests"):
        issuer.key_set.wait_for(1, timeout=0.01)


def test_behaviours_are_taken_in_turn_and_the_last_stays() -> None:
    with FaultyIssuer() as issuer:
        issuer.key_set.switch(Answer(500), lambda good: good.with_status(404), HangUp())
        assert [get(issuer.key_set.url).status_code for _ in range(2)] == [500, 404]
        for _ in range(2):
            with pytest.raises(httpx.RemoteProtocolError):
                get(issuer.key_set.url)

        issuer.key_set.heal()
        assert get(issuer.key_set.url).status_code == 200


def test_switching_one_path_leaves_the_others_healthy() -> None:
    with FaultyIssuer() as issuer:
        issuer.key_set.switch(Answer(500))

        assert get(issuer.metadata.url).status_code == 200


def test_issuer_serves_the_loop_that_switches_it() -> None:
    async def ask(issuer: FaultyIssuer) -> list[int]:
        async with httpx.AsyncClient(trust_env=False) as client:
            issuer.key_set.hold()
            asking = [asyncio.create_task(client.get(issuer.key_set.url)) for _ in range(3)]
            await asyncio.to_thread(issuer.key_set.wait_for, 3)
            issuer.key_set.release()
            return [answer.status_code for answer in await asyncio.gather(*asking)]

    with FaultyIssuer() as issuer:
        assert asyncio.run(ask(issuer)) == [200] * 3
        assert issuer.key_set.most_at_once == 3


def test_behaviour_that_raises_is_no_outage() -> None:
    def broken(good: Answer) -> Answer:
        raise LookupError("a mistake of the test")

    def ask() -> None:
        with FaultyIssuer() as issuer:
            issuer.key_set.switch(broken)
            with suppress(httpx.RemoteProtocolError):
                get(issuer.key_set.url)

    with pytest.raises(LookupError, match="a mistake of the test"):
        ask()


def test_no_thread_outlives_its_issuer() -> None:
    before = threading.active_count()
    with FaultyIssuer() as issuer:
        get(issuer.key_set.url)

    assert threading.active_count() == before
