"""What every part of a random application is built with."""

from random import Random
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from starlette.routing import Router
from starlette.types import ASGIApp

from tests.fuzz.model import Edge, Node
from tests.fuzz.parts import Mark, Recorder, register_convertors
from tests.fuzz.texts import Texts

_DEPTH = 4


class Builder:
    """Holds what is built so far; it draws all that is random, always in the same order."""

    def __init__(self, seed: int, guard: Any = None) -> None:
        register_convertors()
        self.rng = Random(seed)  # noqa: S311 - what it draws is to be drawn again
        self.texts = Texts(self.rng)
        self.guard = guard
        self.recorder = Recorder(guard)
        self.outline: list[str] = []
        self.nodes: list[Node] = []
        self.is_guarded = self.texts.chance(0.3)
        self.may_move = self.texts.chance(0.1)
        self.moved: set[str] = set()
        """The endpoints that were given another path where they stand."""

    def fill(self, node: Node) -> None:
        """Put something into *node*."""
        raise NotImplementedError

    def name(self, kind: str) -> str:
        return f"{kind} {self.texts.number()}"

    def new_node(self, kind: str, app: ASGIApp, parent: Node | None, **options: Any) -> Node:
        """Return the node of *app*, a router or an app with one."""
        router = app if isinstance(app, Router) else getattr(app, "router")  # noqa: B009
        node = Node(router, app, self.name(kind), parent=parent, **options)
        node.router.redirect_slashes = not self.texts.chance(0.15)
        self.nodes.append(node)
        return node

    def add(self, node: Node, edge: Edge, *details: str) -> None:
        """Note that *edge* was put into *node*."""
        node.edges.append(edge)
        told = f" -> {edge.node.name}" if edge.node is not None else f" {edge.name}"
        words = [edge.leads.name.lower(), repr(edge.path), "/".join(edge.methods), *details]
        if edge.node is not None and edge.node.own:
            words.append(f"(own prefix {edge.node.own!r})")
        self.outline.append(f"{node.name}: {' '.join(filter(None, words))}{told}")

    def dependencies(self, mark: int | None = None) -> list[Any]:
        """Return the mark, and now and then the guard: it decides what was decided before."""
        depends = [Depends(Mark(mark))] if mark is not None else []
        is_guarded = self.texts.chance(0.3) and self.is_guarded
        return [*depends, Depends(self.guard)] if is_guarded and self.guard else depends

    def is_deep(self, node: Node) -> bool:
        depth = 0
        while node.parent is not None:
            depth, node = depth + 1, node.parent
        return depth >= _DEPTH

    def new_app(self, kind: type[FastAPI] = FastAPI) -> FastAPI:
        return kind(openapi_url=None, dependencies=self.dependencies())


def is_included(node: Node) -> bool:
    """Tell whether *node* may be included in others, where some routes are lost."""
    return isinstance(node.app, APIRouter)
