"""An attempt ends at the worst moment: as somebody begins to wait, or when it was given up."""

import asyncio
import threading
import time
from typing import Any

from fastapi_scopes.errors import TokenFault
from fastapi_scopes.verifiers import Document
from tests.verifiers.publishing import PATIENCE, Issuer, looped, outcome_of, until


class PausingLoop(asyncio.SelectorEventLoop):
    """A loop that stops where somebody is about to wait for another loop."""

    def __init__(self) -> None:
        super().__init__()
        self.is_reached = threading.Event()
        self.may_go_on = threading.Event()

    def create_future(self) -> "asyncio.Future[Any]":
        self.is_reached.set()
        self.may_go_on.wait(PATIENCE)
        return super().create_future()


@looped
async def test_who_comes_as_the_fetch_ends_does_not_wait_for_another() -> None:
    issuer = Issuer()
    verifier = issuer.verifier(timeout=60)
    issuer.hold()
    first = asyncio.create_task(outcome_of(verifier, issuer.mint()))
    await issuer.wait_for_fetches(1)
    loop, outcomes = PausingLoop(), []

    def come() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            outcomes.append(runner.run(outcome_of(verifier, issuer.mint(jti="late"))))

    thread = threading.Thread(target=come, daemon=True)
    thread.start()
    await until(loop.is_reached.is_set)
    issuer.release()
    assert await first == "accept"

    began = time.monotonic()
    loop.may_go_on.set()
    await until(lambda: not thread.is_alive())
    assert outcomes == ["accept"]
    assert time.monotonic() - began < PATIENCE / 2
    assert issuer.fetches == 1


class Fetches:
    """Each fetch is answered when the test says so, with the set that was published then."""

    def __init__(self, issuer: Issuer) -> None:
        self.issuer = issuer
        self.open: list[asyncio.Future[bytes]] = []

    async def __call__(self, url: str) -> Document:
        self.open.append(asyncio.get_running_loop().create_future())
        return Document(await self.open[-1])

    def answer(self, number: int, *kids: str) -> None:
        self.issuer.publish(*kids)
        self.open[number].set_result(self.issuer.key_set())


@looped
async def test_attempt_that_was_given_up_neither_counts_nor_ends_the_next_one() -> None:
    issuer = Issuer("k1")
    fetches = Fetches(issuer)
    verifier = issuer.verifier(fetch=fetches, timeout=PATIENCE)

    async def asked(kid: str, jti: str) -> "asyncio.Task[str]":
        task = asyncio.create_task(outcome_of(verifier, issuer.mint(kid, jti=jti)))
        await asyncio.sleep(0.01)
        return task

    given_up = await asked("k1", "1")
    issuer.clock.move(2 * PATIENCE)
    waiting = [await asked("k2", "2"), await asked("k2", "3")]
    assert len(fetches.open) == 2

    fetches.answer(0, "k1")
    waiting.append(await asked("k2", "4"))
    assert len(fetches.open) == 2
    assert not any(task.done() for task in (given_up, *waiting))
    fetches.answer(1, "k2")
    assert await asyncio.gather(*waiting) == ["accept"] * 3
    # What came for its sake was of no use, so it is judged by what came after.
    assert await given_up == TokenFault.UNKNOWN_KEY
