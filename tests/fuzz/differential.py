"""One random application asked three times: bare, bare with a resolver, and protected."""

import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastapi_scopes import PUBLIC, ScopeMap
from fastapi_scopes._routing import PerimeterView, RouteTree
from fastapi_scopes.authorization import verdict_of
from fastapi_scopes.core.methods import http_method
from tests.apps import make_guard, mint
from tests.fuzz.apps import Application, templates_ever
from tests.fuzz.model import Place, is_shared, templates_of
from tests.fuzz.parts import WAY, Run, normalised, template_of
from tests.fuzz.paths import Asked, Asker

PER_APPLICATION = 200
"""How many requests an application gets, whatever else: it is changed in between."""

_PROBLEM = b"application/problem+json"

# Failures.
UNSAFE = "UNSAFE"
"""An endpoint ran under another template, or method, than that of the verdict."""
MISSED = "RESOLVER MISSED"
"""A bare resolver named another template than that of the endpoint that ran, or none."""
WRONG_REFUSAL = "WRONG REFUSAL"
"""A refusal of an endpoint that the map makes PUBLIC, by none of the rules of the design."""
BROKE = "BROKE"
"""The perimeter made an error of what was none."""
DIFFERENT = "DIFFERENT"
"""Another endpoint ran, or another answer came, than without a perimeter."""
UNSEEN = "UNSEEN"
"""What `check` finds at start-up is not what there is."""
FAILURES = (UNSAFE, MISSED, WRONG_REFUSAL, BROKE, DIFFERENT, UNSEEN)

# What else is counted.
REQUESTS, RAN, NONE_RAN = "requests", "endpoints run", "no endpoint"
OVER = "over-matches"
"""The verdict names an endpoint, and the router ran none."""
NOT_INSIDE = "nothing found by what is one endpoint as a whole"
REFUSED = "refused"
BY_DESIGN = "refused by design"
LED_ELSEWHERE = "led elsewhere by code in between, and not found there"
UNNOTICED = "moved where they stand, and unnoticed (docs/adr/0008)"


@dataclass(frozen=True, slots=True)
class Failure:
    """What must not be, and how to see it again."""

    kind: str
    seed: int
    asked: Asked | None
    detail: str
    outline: tuple[str, ...] = field(repr=False)

    def __str__(self) -> str:
        return "\n".join(
            [
                f"{self.kind} with --seed {self.seed}: {self.asked}",
                f"  {self.detail}",
                *(f"    {line}" for line in self.outline),
            ]
        )


@dataclass(slots=True)
class Report:
    """What came of many requests."""

    counts: Counter[str] = field(default_factory=Counter[str])
    reached: Counter[str] = field(default_factory=Counter[str])
    """How many endpoints of a kind ran."""
    failures: list[Failure] = field(default_factory=list[Failure])


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a request came to."""

    status: object
    is_refused: bool
    raised: str | None
    runs: tuple[Run, ...]
    named: str | None
    """The template of the verdict, or of the way that a bare resolver found."""

    @property
    def seen(self) -> tuple[object, ...]:
        """What a caller gets."""
        return (self.status, self.raised, *(run.name for run in self.runs))


class _Observed:
    """Stands where a perimeter would, and asks a resolver."""

    def __init__(self, app: ASGIApp, tree: RouteTree) -> None:
        self.app, self.tree = app, tree

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[WAY] = self.tree.resolve(scope)
        await self.app(scope, receive, send)


class _Nobody:
    """Stands where a perimeter would, and decides nothing."""

    async def check_passage(self, *connection: Any) -> tuple[()]:
        return ()

    async def decide_at_router(self, *connection: Any) -> tuple[()]:
        return ()

    def use_passage(self, *connection: Any) -> None:
        return None

    async def decide_at_endpoint(self, *connection: Any) -> tuple[()]:
        return ()


class Pair:
    """The same application twice: one bare, one protected by a map that opens all of it."""

    def __init__(self, seed: int, report: Report) -> None:
        self.seed, self.report = seed, report
        templates = {normalised(each) for each in templates_ever(seed)}
        methods = ("*", "OPTIONS")
        rules = {f"{method} {each}": PUBLIC for each in templates for method in methods}
        self.guard = make_guard(ScopeMap(rules, optional=True))
        self.bare, self.shut = Application(seed), Application(seed, self.guard)
        self.guard.protect(self.shut.app, hide_unknown=self.shut.hides_unknown)
        self.nobody = _Nobody()
        view = PerimeterView(self.nobody, lambda _: None)
        tree = RouteTree(self.bare.app, None, is_guard=lambda _: False, view=view)
        router = self.bare.app.router
        router.middleware_stack = _Observed(router.middleware_stack, tree)
        # FastAPI reads an included router when it first matches there, and again when the count of
        # its changes is another, which goes up by one where it is met; both shall now.
        tree.first_look()
        deque(tree.places(), maxlen=0)
        self.places = self.bare.places()

    def check(self) -> None:
        coverage = self.guard.check(self.shut.app)
        seen = {each.endpoint.template.text for each in coverage.endpoints}
        built = templates_of(self.bare.root)
        if seen != built:
            missing, more = sorted(built - seen), sorted(seen - built)
            self.fail(UNSEEN, None, f"check does not see {missing}, and sees {more}")
        if coverage.problems:
            self.fail(UNSEEN, None, f"problems: {coverage.problems}")

    def fail(self, kind: str, asked: Asked | None, detail: str) -> None:
        outline = tuple(self.shut.outline)
        self.report.counts[kind] += 1
        self.report.failures.append(Failure(kind, self.seed, asked, detail, outline))

    def change(self) -> None:
        self.bare.change()
        self.shut.change()
        self.places = self.bare.places()

    async def ask(self, asked: Asked) -> None:
        bare = await _exchange(self.bare, asked)
        shut = await _exchange(self.shut, asked)
        counts = self.report.counts
        counts[REQUESTS] += 1
        counts[RAN if shut.runs else NONE_RAN] += 1
        self.report.reached.update(run.name.rpartition(" ")[0] for run in shut.runs)
        counts[REFUSED] += shut.is_refused
        if shut.named is not None and not bare.runs:
            counts[NOT_INSIDE if shut.named.endswith("/**") else OVER] += 1
        for kind, detail in self._wrong(bare, shut, asked):
            self.fail(kind, asked, f"{detail}\n  bare {bare}\n  protected {shut}")

    def _wrong(self, bare: Outcome, shut: Outcome, asked: Asked) -> Iterator[tuple[str, str]]:
        yield from self._unsafe(shut, asked)
        for run in bare.runs[:1]:
            is_found = self._is_at(run, run.resolved, is_looked_into=True)
            is_known = asked.is_unruly or run.name in self.bare.moved
            if not (is_found or is_known or self._is_elsewhere(run, asked)):
                yield MISSED, f"{run.name} ran, resolved {run.resolved}"
        if shut.is_refused:
            if self._is_refused_by_design(bare, shut, asked):
                self.report.counts[BY_DESIGN] += 1
            else:
                yield WRONG_REFUSAL, f"{bare.runs[0].name if bare.runs else 'nothing'} is open"
        elif _is_broken(shut):
            yield BROKE, f"{shut.raised or shut.status} instead of {bare.raised or bare.status}"
        elif self._is_led_elsewhere(shut, asked):
            self.report.counts[LED_ELSEWHERE] += 1
        elif self._is_of_a_moved(bare, shut):
            # What has another path where it stands goes unnoticed where another route matches.
            self.report.counts[UNNOTICED] += shut.seen != bare.seen
        elif shut.seen != bare.seen:
            yield DIFFERENT, f"{shut.seen} instead of {bare.seen}"

    def _is_of_a_moved(self, bare: Outcome, shut: Outcome) -> bool:
        """Tell whether a route that moved where it stands answers, if only with its methods."""
        runs = (*bare.runs, *shut.runs)
        is_of_its_methods = not runs and 405 in (bare.status, shut.status)
        is_one = any(run.name in self.shut.moved for run in runs)
        return is_one or (bool(self.shut.moved) and is_of_its_methods)

    def _unsafe(self, shut: Outcome, asked: Asked) -> Iterator[tuple[str, str]]:
        for run in shut.runs:
            method, template = run.verdict or (None, None)
            ruled = run.method if asked.is_socket else http_method(run.method)
            is_decided = ruled == method and self._is_at(run, template)
            if is_decided or self._is_inside(run):
                continue
            if run.name in self.shut.moved:
                self.report.counts[UNNOTICED] += 1
            else:
                yield UNSAFE, f"{run.name} ran under {run.verdict}, not {self._templates_of(run)}"

    def _is_inside(self, run: Run) -> bool:
        """Tell whether *run* was within what is one endpoint, by more than the perimeter.

        Code in there may make another request of one; a dependency decides by the keys of its own
        app.
        """
        places = self._places_of(run)
        if run.name.startswith("answer"):
            # It answers in the place of what is there.
            template = (run.verdict or (None, None))[1]
            places = [place for place in self.places if place.template == template]
        is_closed = any(place.is_closed for place in places)
        is_rewritten = any(place.is_rewritten for place in places)
        return is_closed and (self.shut.is_guarded or is_rewritten)

    def _is_led_elsewhere(self, shut: Outcome, asked: Asked) -> bool:
        """Tell whether code in between made another request of one, for which nothing runs.

        What runs then is what was decided on, or nothing.
        """
        is_rewritten = "alias" in asked.path and any(each.is_rewritten for each in self.places)
        is_nothing = not shut.runs and shut.status in {307, 404, 405, "websocket.close"}
        return is_rewritten and (is_nothing or bool(shut.runs))

    def _places_of(self, run: Run) -> list[Place]:
        """Return where *run* may have been, by what the connection went through."""
        return [
            place
            for place in self.places
            if place.name == run.name
            and place.parameters == run.parameters
            and (place.marks is None or place.marks == run.marks)
        ]

    def _templates_of(self, run: Run, *, is_looked_into: bool = False) -> set[str]:
        # Behind a mount of itself, an app decides anew: by the templates that it has.
        places = self._places_of(run) or [each for each in self.places if each.name == run.name]
        inside = {place.looked_into for place in places} if is_looked_into else set[str]()
        if any(place.is_closed for place in places) and is_shared(self.shut.root):
            # What is one endpoint leads to another that asks for a verdict by its own templates.
            places = [each for each in self.places if each.name == run.name]
        return {place.template for place in places} | inside

    def _is_at(self, run: Run, template: str | None, *, is_looked_into: bool = False) -> bool:
        if run.name.startswith("answer"):
            # Other code answers in the place of whatever it stands before.
            return template is not None
        return template in self._templates_of(run, is_looked_into=is_looked_into)

    def _is_elsewhere(self, run: Run, asked: Asked) -> bool:
        """Tell whether *run* came by a way that no one can see from outside."""
        if run.name.startswith("answer"):
            # It answers even what would be an error further on.
            return run.resolved is None
        places = self._places_of(run)
        is_looped = not places or asked.path.count("/loop/") > 1
        return is_looped or any(place.is_rewritten for place in places)

    def _is_refused_by_design(self, bare: Outcome, shut: Outcome, asked: Asked) -> bool:
        # Where a route moved, whoever notices it first is refused.
        if asked.is_unruly or self.shut.moved or self._is_doubted(shut.named):
            return True
        if bare.runs and not bare.runs[0].name.startswith("answer"):
            return self._is_elsewhere(bare.runs[0], asked)
        # Where other code could answer before the router redirects, no one is anonymous.
        is_redirect = shut.named is not None and (bare.status == 307 or bool(bare.runs))
        is_hidden = (is_redirect or self.shut.hides_unknown) and not asked.has_token
        is_rewritten = "alias" in asked.path and any(each.is_rewritten for each in self.places)
        # A convertor that fails, even on a path to which a router would only redirect.
        is_failing = shut.named is None and (bare.status == 307 or bool(bare.runs))
        is_error = bare.raised is not None or is_failing
        # A gate stands before a router that hangs elsewhere, too, and was not looked into here.
        is_shut_in = (shut.named or "").endswith("/**") and is_shared(self.shut.root)
        return is_hidden or is_rewritten or is_error or is_shut_in or "/loop/" in asked.path

    def _is_doubted(self, template: str | None) -> bool:
        """Tell whether gates, or the guard as a dependency, are where no one looked.

        They stand before a router that hangs at another place, too.
        """
        is_closed = any(place.is_closed and place.template == template for place in self.places)
        return is_closed and (self.shut.is_guarded or is_shared(self.shut.root))


def _is_broken(outcome: Outcome) -> bool:
    """Tell whether there was an error of the server, but for those that apps make themselves.

    An app with a root path of its own that is mounted in itself never ends, and files have no
    sockets.
    """
    is_own = outcome.raised == "RecursionError" or any("files" in run.name for run in outcome.runs)
    is_unseen = outcome.named is not None and outcome.named.endswith("/**")
    is_error = outcome.raised is not None or outcome.status in {422, 500}
    return is_error and not is_own and not is_unseen


@cache
def _token() -> str:
    """Return a valid token without scopes; only who is asked for one looks at it."""
    return mint(exp=time.time() + 86_400)


async def _exchange(application: Application, asked: Asked) -> Outcome:
    """Return what becomes of a request, made without a server."""
    sent: list[Message] = []
    kind = "websocket" if asked.is_socket else "http"
    coming = ["websocket.connect"] if asked.is_socket else ["http.request"]

    async def receive() -> Message:
        return {"type": coming.pop() if coming else f"{kind}.disconnect", "code": 1000}

    async def send(message: Message) -> None:
        sent.append(message)

    asgi_scope = asked.to_scope(_token())
    recorder = application.recorder
    recorder.runs.clear()
    raised: str | None = None
    try:
        await application.app(asgi_scope, receive, send)
    except Exception as error:  # noqa: BLE001 - whatever an app raises is compared
        raised = type(error).__name__
    first: Message = sent[0] if sent else {}
    named = verdict_of(asgi_scope, recorder.guard)
    return Outcome(
        first.get("status", first.get("type")),
        (b"content-type", _PROBLEM) in first.get("headers", ()),
        raised,
        tuple(recorder.runs),
        template_of(named.request) if named is not None else template_of(asgi_scope.get(WAY)),
    )


async def ask_application(seed: int, report: Report) -> None:
    """Ask the application of *seed* as often as PER_APPLICATION says."""
    pair = Pair(seed, report)
    pair.check()
    rng = Random(seed)  # noqa: S311 - what it draws is to be drawn again
    asker = Asker(rng, (pair.shut.app.root_path, pair.shut.root_path))
    between = PER_APPLICATION // (pair.shut.changes + 1)
    for number in range(PER_APPLICATION):
        if number % between == 0 and 0 < number // between <= pair.shut.changes:
            pair.change()
        await pair.ask(asker.ask(pair.places, pair.shut.root_path))
