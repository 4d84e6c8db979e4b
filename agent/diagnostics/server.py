"""Owns one language server of a session: started when it is first asked, again where it failed, and not for ever."""

from collections.abc import Callable, Sequence
from pathlib import Path

from agent.diagnostics.contract import Starting, Subject
from agent.diagnostics.conversation import Conversation
from agent.diagnostics.finding import Usable
from agent.diagnostics.problem import Problem
from agent.diagnostics.programs import ServerProgram, filled
from agent.workspace.contract import READ_ONLY

_MOST_FAILURES = 3  # it is started again after each but the last


class Server:
    """One such, for one folder. `note` tells the person that it was given up."""

    def __init__(self, usable: Usable, program: ServerProgram, starting: Starting, note: Callable[[str], None]) -> None:
        self.name = program.name
        self._usable = usable
        self._program = program
        self._starting = starting
        self._note = note
        self._conversation: Conversation | None = None
        self._failures = 0
        self._last = ""
        self._begun = False

    @property
    def fault(self) -> str:
        """Why it is asked no more, as a clause; "" where it is."""
        return self._last if self._failures >= _MOST_FAILURES else ""

    @property
    def joined(self) -> bool:
        """Whether a change of one file may change what it says of another only once it is asked again."""
        return self._conversation is not None and self._conversation.joined

    @property
    def standing(self) -> str:
        """How it stands."""
        if self.fault:
            return f"given up: {self.fault}"
        state = "running" if self._begun else "starting" if self._conversation is not None else "not started"
        return f"{state}, failures: {self._failures}, the last: {self._last}" if self._failures else state

    @property
    def mute(self) -> bool:
        """Whether it said nothing of the last text, and is only taken to find nothing in it."""
        return self._conversation is not None and self._conversation.mute

    async def warm(self) -> None:
        """Be ready to be asked."""
        if self.fault:
            return
        try:
            await self._ready()
        except Exception as error:  # noqa: BLE001 - whatever the library makes of a server is no fault of the turn's
            await self._failed(error)

    async def find(self, subject: Subject) -> tuple[Problem, ...] | None:
        """Return the problems of a text, None where it does not say."""
        while not self.fault:
            try:
                conversation = await self._ready()
                return await conversation.find(subject)
            except Exception as error:  # noqa: BLE001 - whatever the library makes of a server is no fault of the turn's
                await self._failed(error)
        return None

    def elsewhere(self) -> dict[Path, tuple[Problem, ...]]:
        """Return what it says of files by itself, as of now."""
        return self._conversation.elsewhere() if self._conversation is not None and self._begun else {}

    def noticed(self, paths: Sequence[Path]) -> None:
        """Hear of files that changed on the disk."""
        if self._conversation is not None and self._begun:
            try:
                self._conversation.noticed(paths)
            except OSError:
                return  # it is seen to when it is asked next

    async def end(self) -> None:
        """End it."""
        conversation, self._conversation, self._begun = self._conversation, None, False
        if conversation is not None:
            await conversation.end()

    async def _ready(self) -> Conversation:
        if self._conversation is None:
            usable, program = self._usable, self._program
            companion = await self._starting.accompany(usable.argv, usable.folder, READ_ONLY)
            self._conversation = Conversation(companion, usable.folder, filled(program.settings, usable.python))
            await self._conversation.begin(program.options)
            self._begun = True
        return self._conversation

    async def _failed(self, error: Exception) -> None:
        self._failures += 1
        self._last = str(error) or type(error).__name__
        await self.end()
        if self.fault:
            self._note(f"the language server {self.name} was given up after {_MOST_FAILURES} failures: {self._last}")
