"""A model for agno that needs no network: it gives the same answer to the same question."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

from agno.models.base import Model
from agno.models.message import Message
from agno.models.response import ModelResponse

__all__ = ["OfflineModel"]


@dataclass
class OfflineModel(Model):
    """Repeats what the user said, word by word where it streams; calls no tool."""

    id: str = "offline"
    name: str | None = "OfflineModel"
    provider: str | None = "Offline"

    def _words(self, messages: list[Message]) -> list[str]:
        said = (m.get_content_string() for m in reversed(messages) if m.role == "user")
        return f"You said: {next(said, '')}".split(" ")

    def invoke(self, messages: list[Message], **_: Any) -> ModelResponse:
        """Return the whole answer."""
        return ModelResponse(role="assistant", content=" ".join(self._words(messages)))

    async def ainvoke(self, messages: list[Message], **_: Any) -> ModelResponse:
        """Return the whole answer."""
        return self.invoke(messages)

    def invoke_stream(self, messages: list[Message], **_: Any) -> Iterator[ModelResponse]:
        """Yield the answer, a word at a time."""
        first, *others = self._words(messages)
        for text in (first, *(f" {word}" for word in others)):
            yield ModelResponse(role="assistant", content=text)

    async def ainvoke_stream(
        self, messages: list[Message], **_: Any
    ) -> AsyncIterator[ModelResponse]:
        """Yield the answer, a word at a time."""
        for response in self.invoke_stream(messages):
            yield response

    def _parse_provider_response(self, response: Any, **_: Any) -> ModelResponse:
        return ModelResponse(role="assistant", content=response.content)

    def _parse_provider_response_delta(self, response: Any) -> ModelResponse:
        return ModelResponse(role="assistant", content=response.content)
