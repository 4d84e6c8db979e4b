"""Owns the calls of earlier sessions, as far as the ledger has them: what a rule is tried on before a person keeps it."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from agent.command.weigh import weigh
from agent.rules import Question
from agent.tool import AnyTool, Effect
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

    def questions(self) -> Iterator[Question]:
        """Yield each call once, the latest first."""
        for name, title in dict.fromkeys(self._recorded.titles()):
            tool = self._tools.get(name)
            if tool is not None and tool.effect in {Effect.WRITE, Effect.EXEC} and len(title) <= _LONGEST:
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
