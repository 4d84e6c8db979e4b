"""Owns what requests cost together."""

from collections.abc import Callable

from agent.messages import Usage

Spend = Callable[[Usage, float | None, int], None]  # what was counted, its cost, and its tokens, estimated where nobody counted


class Spent:
    """What some requests cost; the cost is unknown as soon as one of them is."""

    def __init__(self, onward: Spend | None = None) -> None:
        self._onward = onward
        self.usage = Usage()
        self.weight = 0
        self._costs: list[float | None] = []

    @property
    def cost(self) -> float | None:
        """US dollars; None where one is unknown, or nothing was asked."""
        known = [cost for cost in self._costs if cost is not None]
        return sum(known) if known and len(known) == len(self._costs) else None

    def add(self, usage: Usage, cost: float | None, weight: int) -> None:
        """Take in a request, and pass it on to who counts more than these."""
        if self._onward is not None:
            self._onward(usage, cost, weight)
        self.usage += usage
        self.weight += weight
        self._costs.append(cost)
