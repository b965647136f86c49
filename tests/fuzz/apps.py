"""Random applications: the same seed makes the same one again, and the same changes to it."""

from typing import Any

from tests.fuzz.building import Builder
from tests.fuzz.changes import CHANGES
from tests.fuzz.endpoints import ENDPOINTS
from tests.fuzz.joints import JOINTS
from tests.fuzz.model import Node, Place, places_in, templates_of

__all__ = ["Application", "templates_ever"]


class Application(Builder):
    """A random application, and what it holds by construction."""

    def __init__(self, seed: int, guard: Any = None) -> None:
        super().__init__(seed, guard)
        self.budget = self.rng.randint(8, 36)
        self.app = self.new_app()
        self.app.root_path = self.rng.choice(["", "", "", "", "/proxy", "/a"])
        self.root_path = self.rng.choice(["", "", "", "/proxy", "/a", "/m1", "/proxy/"])
        """That of the server."""
        self.changes = self.rng.choice([0, 0, 0, 3, 8])
        self.hides_unknown = self.texts.chance(0.15)
        self.outline.append(
            f"root path of the app {self.app.root_path!r}, of the server {self.root_path!r}, "
            f"hide_unknown={self.hides_unknown}"
        )
        self.root = self.new_node("app", self.app, None)
        while self.budget > 0 or not self.places():
            self.fill(self.root)

    def fill(self, node: Node) -> None:
        """Put something into *node*, more of it near the root."""
        endpoints, joints = list(ENDPOINTS.items()), list(JOINTS.items())
        for _ in range(self.rng.randint(1, 5)):
            self.budget -= 1
            is_full = self.budget < 0 or self.is_deep(node)
            kinds = endpoints if is_full else endpoints + joints
            add = self.rng.choices([add for add, _ in kinds], [share for _, share in kinds])[0]
            add(self, node)

    def change(self) -> None:
        """Change some router, late."""
        node = self.rng.choice(self.nodes)
        change = self.rng.choices(list(CHANGES), list(CHANGES.values()))[0]
        self.budget = 3
        told = len(self.outline)
        what = change(self, node)
        self.outline.insert(told, f"LATER, {node.name}: {what}")

    def places(self) -> list[Place]:
        return places_in(self.root)


def templates_ever(seed: int) -> set[str]:
    """Return the templates of all that the application has, or will have after its changes."""
    application = Application(seed)
    found = templates_of(application.root)
    for _ in range(application.changes):
        application.change()
        found |= templates_of(application.root)
    return found
