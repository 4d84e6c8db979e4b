"""Owns how large requests are, and how the window of a model is shared out between them and their answers."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from agent.ask import Words
from agent.errors import ModelError
from agent.estimate import Estimate
from agent.events.step import ModelAnswered
from agent.history import LEFT_OUT
from agent.messages import Message, Reply, Usage
from agent.model import Model, Request

LEAST_ANSWER = 256
_TOLD = re.compile(r"(?:context (?:length|size|window)|token limit)\D{1,8}(\d{4,8})|\d{4,8} tokens? > (\d{4,8})", re.IGNORECASE)
_LEFT_OUT = Reply("", "", LEFT_OUT)


@dataclass(frozen=True, slots=True)
class Room:
    """How a window is shared out; tokens."""

    window: int

    @property
    def limit(self) -> int:
        """The size from which a request is shortened before it is sent; what is left is for the answer."""
        return self.window - max(self.window * 15 // 100, min(4096, self.window // 4))

    @property
    def goal(self) -> int:
        """The size that a history is shortened to, where that can be without its last steps."""
        return self.limit * 6 // 10

    @property
    def most(self) -> int:
        """The size that no request exceeds."""
        return self.window - self.window // 50

    @property
    def note(self) -> int:
        """The most characters of a note."""
        return max(2000, min(24_000, self.window // 4))

    @property
    def record(self) -> int:
        """The most characters of jumar's own record."""
        return max(1000, min(9000, self.window // 8))


class Windows:
    """What is known of the windows of a session's models, and of the requests that go into them."""

    def __init__(self, words: Words) -> None:
        self._words = words
        self.estimate = Estimate(words.system, words.tools)
        # By the model's identity, for two servers may call theirs the same: windows smaller than they were said to be.
        self._ceilings: dict[int, int] = {}

    def room(self, model: Model) -> Room:
        """Return how the window of a model is shared out."""
        return Room(min(model.capabilities.window, self._ceilings.get(id(model), model.capabilities.window)))

    def size(self, model: Model, messages: Sequence[Message]) -> int:
        """Return about how many tokens a request with these messages is."""
        return self.estimate.of(messages, model.name)

    def request(self, model: Model, messages: Sequence[Message]) -> Request:
        """Return a request with these messages; it asks for no longer an answer than there is room for."""
        return self._words.request(messages, self._longest(model, self.size(model, messages)))

    async def counted(self, model: Model, messages: Sequence[Message]) -> int:
        """Return how many tokens that is; the server is asked where it was not heard yet and counts."""
        if not self.estimate.known(model.name) and (counted := await model.count(self._words.request(messages))):
            self.estimate.learn(messages, model.name, counted)
        return self.size(model, messages)

    def learn(self, model: Model, request: Request, usage: Usage) -> None:
        """Take in what the server counted in a request."""
        self.estimate.learn(request.messages, model.name, usage.prompt)

    def overflowed(self, model: Model, messages: Sequence[Message], error: ModelError, times: int) -> None:
        """Take in that the server said, for the first or the second time, that a request with these messages is too long."""
        size = self.size(model, messages)
        if told := _TOLD.search(str(error)):
            ceiling = int(told[1] or told[2])
            if size < ceiling:
                self.estimate.learn(messages, model.name, ceiling + 1)
        else:
            ceiling = size * 9 // 10
        if times > 1:
            ceiling = min(ceiling, size * 7 // 10)
        self._ceilings[id(model)] = min(ceiling, self.room(model).window)

    def weigh(self, model: Model, request: Request, event: ModelAnswered) -> int:
        """Return how many tokens a request and its answer were: about, where the server does not tell."""
        told = event.usage.prompt + event.usage.completion
        return told or self.size(model, request.messages) + self.estimate.of_more(event.answer, model.name)

    def droppable(self, model: Model, messages: Sequence[Message], over: int, gone: Collection[str] = ()) -> list[str]:
        """Return the calls whose replies, the oldest first, are about so many tokens together; those `gone` are no more."""
        dropped: list[str] = []
        left = self.estimate.of_more(_LEFT_OUT, model.name)
        for message in messages:
            if over <= 0:
                break
            if isinstance(message, Reply) and message.call_id not in gone:
                bare = replace(message, images=()) if message.images else message
                spared = self.estimate.of_more(bare, model.name) - left
                if spared > 0:
                    dropped.append(message.call_id)
                    over -= spared
        return dropped

    def _longest(self, model: Model, size: int) -> int | None:
        """Return how long an answer there is room for, where that is less than what would be asked for anyway."""
        wanted = model.capabilities.answer
        # A server that is asked for more than fits may refuse the request, so what the estimate may be off by is left too.
        left = self.room(model).most - size * (105 if self.estimate.known(model.name) else 115) // 100
        if wanted is None or left >= wanted:
            return None
        return max(LEAST_ANSWER, left)
