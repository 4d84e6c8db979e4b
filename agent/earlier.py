"""Owns the calls of earlier sessions, as far as the ledger has them: what a rule is tried on before a person keeps it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from agent.command.weigh import weigh
from agent.effects import Effect
from agent.rules import NETWORK, Question, Rule
from agent.tool import AnyTool
from agent.workspace.contract import Located

_LONGEST = 2000  # characters of a command: longer ones are seldom the same twice


class Recorded(Protocol):
    """What keeps the earlier calls."""

    def titles(self) -> list[tuple[str, str]]:
        """Return tool and title of each, the latest first."""
        ...

    def keeps(self, file: Path) -> bool:
        """Whether what lies there is held."""
        ...


class Earlier:
    """Tells earlier calls as questions; each is read once."""

    def __init__(self, tools: Mapping[str, AnyTool], locate: Callable[[str], Located], recorded: Recorded) -> None:
        self._tools = tools
        self._locate = locate
        self._recorded = recorded
        self._read: dict[tuple[str, str], Question] = {}

    def questions(self, rules: Sequence[Rule]) -> Iterator[Question]:
        """Yield each call that one of the rules may cover once, the latest first."""
        for name, title in dict.fromkeys(self._recorded.titles()):
            tool = self._tools.get(name)
            if tool is not None and len(title) <= _LONGEST and any(_may_cover(rule, tool, name, title) for rule in rules):
                yield self._question(tool, name, title)

    def _question(self, tool: AnyTool, name: str, title: str) -> Question:
        known = self._read.get((name, title))
        if known is None:
            runs = tool.effect is Effect.EXEC
            known = Question(
                name,
                tool.effect,
                title,
                () if runs else (self._locate(title),),
                command=weigh(title, self._locate, self._is_unkept) if runs else None,
            )
            self._read[name, title] = known
        return known

    def _is_unkept(self, path: Located) -> bool:
        return not self._recorded.keeps(path.real)


def _may_cover(rule: Rule, tool: AnyTool, name: str, title: str) -> bool:
    """Whether a rule is worth trying: to read a command takes long where there are hundreds."""
    if tool.effect is Effect.WRITE:
        return rule.tool == name
    if tool.effect is not Effect.EXEC or rule.tool not in {name, NETWORK}:
        return False
    first = rule.pattern.split()[0]
    return first == "*" or first in title
