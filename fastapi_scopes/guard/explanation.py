"""Explanations: what a guard would do with a request, and why."""

from dataclasses import dataclass
from typing import Final

from fastapi_scopes._lines import one_line
from fastapi_scopes.core.candidates import Candidate
from fastapi_scopes.core.problems import Problem

__all__ = ["NO_GUARD", "NO_ROUTE", "Explanation"]

NO_ROUTE: Final = "no_route"
NO_GUARD: Final = "no_guard"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What a guard would do with a request, and why. `str()` of it is for a terminal."""

    method: str
    path: str
    """As the server decodes it."""
    caller: str
    """Who asks, in words."""
    template: str | None = None
    """The template of the route; None where there is none."""
    source: str = ""
    """The function or app that answers, ``module.name``."""
    rule: str | None = None
    """The key of the rule that holds; None where there is none."""
    requirement: str | None = None
    """What it asks for, with the scopes that the route itself asks for."""
    candidates: tuple[Candidate, ...] = ()
    """The rules that match the route, those that decide first."""
    allowed: bool
    reported: bool = False
    """Whether the request passes only because refusals are reported until a moment."""
    reason: str
    """Why, in a word, as a `DecisionEvent` has it; or ``no_route`` where the app itself answers,
    or ``no_guard`` where this guard does not run."""
    missing: tuple[str, ...] = ()
    """The scopes that are missing."""
    problem: Problem | None = None
    """What would be answered in place of the route; None where the request passes."""
    way_out: str = ""
    """What to do about a refusal, where that is known."""

    @property
    def status(self) -> int | None:
        """The status of the refusal; None where the request passes."""
        return None if self.problem is None else self.problem.status

    @property
    def body(self) -> bytes | None:
        """The body of the refusal; None where the request passes."""
        return None if self.problem is None else self.problem.to_json()

    @property
    def headers(self) -> dict[str, str]:
        """The header fields of the refusal that the guard sets."""
        return {} if self.problem is None else dict(self.problem.headers())

    def __str__(self) -> str:
        """Return a few lines for a terminal."""
        where = "no route" if self.template is None else f"{self.method} {self.template}"
        lines = [
            f"{one_line(self.method)} {one_line(self.path)}, {self.caller}",
            f"  route    {where}{f' ({self.source})' if self.source else ''}",
        ]
        if self.rule is not None:
            lines.append(f"  rule     {self.rule!r} asks for {self.requirement}")
        lines += [
            f"  {'and' if each.decides else 'not':<8} {each.key!r}: {each.why}"
            for each in self.candidates
            if each.key != self.rule
        ]
        lines.append(f"  answer   {self._answer()}")
        if self.way_out:
            lines.append(f"  way out  {self.way_out}")
        return "\n".join(lines)

    def _answer(self) -> str:
        why = self.reason.replace("_", " ")
        if self.missing:
            why += f", missing {' '.join(map(repr, self.missing))}"
        if self.problem is not None:
            return f"{self.problem.status} {self.problem.code}: {why}"
        if self.reason == NO_ROUTE:
            return "no route, the app answers 404 or 405, or redirects"
        if self.reason == NO_GUARD:
            return "this guard does not run there"
        return f"passes, and the refusal is reported: {why}" if self.reported else f"passes: {why}"
