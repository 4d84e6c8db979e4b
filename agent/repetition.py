"""Owns noticing that a model goes in circles: the same call, or the same step, again and again."""

import json
from collections.abc import Sequence

from agent.messages import Call

_TOLD_AT = {
    3: "This is the third time in a row that you send this very call. Its result will not change: use what you have.",
    5: "This is the fifth time in a row that you send this very call. Stop it: try another way, or say what stops you.",
    8: "This is the eighth time in a row that you send this very call. Answer now with what you know, without this call.",
}
STOPPED_AT = 12


class Repetition:
    """Counts calls that are the same as those just before them."""

    def __init__(self) -> None:
        self._last = ""  # the last call
        self._in_a_row = 0  # times it came
        self._step: tuple[str, ...] = ()  # the last step's calls
        self._steps = 0  # times they came

    def take(self, calls: Sequence[Call]) -> dict[str, str]:
        """Take in a step's calls; return what their replies should say of it, by the id of the call."""
        signatures = tuple(_signature(call) for call in calls)
        self._steps = self._steps + 1 if signatures == self._step else 1
        self._step = signatures
        remarks = {}
        for call, signature in zip(calls, signatures, strict=True):
            self._in_a_row = self._in_a_row + 1 if signature == self._last else 1
            self._last = signature
            if remark := _TOLD_AT.get(self.times):
                remarks[call.id] = remark
        return remarks

    @property
    def times(self) -> int:
        """How often what came last came in a row."""
        return max(self._in_a_row, self._steps)


def _signature(call: Call) -> str:
    try:
        arguments = json.dumps(json.loads(call.arguments, strict=False), sort_keys=True)
    except (ValueError, RecursionError):
        arguments = call.arguments
    return f"{call.name} {arguments}"
