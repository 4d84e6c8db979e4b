"""Owns one conversation with a language server: from its first word until it falls silent, every wait within bounds."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urlsplit

from agent.diagnostics.contract import Broken, Subject
from agent.diagnostics.problem import Problem, problem
from agent.diagnostics.wire import messages
from agent.workspace.companion import Companion

if TYPE_CHECKING:
    from lsprotocol import types
    from pygls.lsp.client import LanguageClient

_TO_BEGIN = 60.0  # seconds that a server has for its first answer
_TO_ANSWER = 30.0  # and for every other
_UNASKED = 1.2  # seconds after which a server that says nothing of a change seems to have nothing to say
_UNASKED_AT_FIRST = 3.0  # and of a file that it did not know
_SETTLED = 0.2  # seconds after which what it says of a text, and does not say of which version, is its last word
_MOST_OPEN = 16  # files
_MOST_HEARD = 200  # files of which is kept what it said by itself
_AGREED = (  # and nothing is done
    "client/registerCapability",
    "client/unregisterCapability",
    "window/workDoneProgress/create",
    "window/showMessageRequest",
    "workspace/diagnostic/refresh",
)
_SPOKEN = {"tsx": "typescriptreact", "bash": "shellscript"}
T = TypeVar("T")


@dataclass(slots=True)
class _Open:
    """A file that the server has from us."""

    uri: str
    language: str
    text: str
    shown: int  # how much it had said by itself when it was shown that text
    version: int = 1


@dataclass(frozen=True, slots=True)
class _Heard:
    """What it said by itself of a file, as the how-manieth of all that."""

    number: int
    version: int | None
    problems: "tuple[types.Diagnostic, ...]"


class Conversation:
    """One such. It begins with `begin`, and is over once it is broken or was ended."""

    def __init__(self, companion: Companion, folder: Path, settings: Mapping[str, Any]) -> None:
        self._companion = companion
        self._folder = folder
        self._settings = settings
        self._open: OrderedDict[Path, _Open] = OrderedDict()
        self._heard: OrderedDict[Path, _Heard] = OrderedDict()
        self._number = 0
        self._news = asyncio.Event()
        self.mute = False  # it said nothing of the last text
        self.joined = False  # what it answers of one file can depend on another
        self._answers = False  # it is asked for the problems of a text, and does not say them by itself
        self._listening: asyncio.Task[None] | None = None
        self._client: LanguageClient | None = None

    async def begin(self, options: Mapping[str, Any]) -> None:
        """Greet it. Raises Broken where it does not answer."""
        await asyncio.to_thread(import_module, "pygls.lsp.client")  # it takes a fifth of a second
        self._client = client = _client()
        client.feature("textDocument/publishDiagnostics")(lambda said: self._hear(said))
        client.feature("workspace/configuration")(lambda asked: self._configure(asked))
        for method in _AGREED:
            client.feature(method)(lambda _: None)
        client.protocol.set_writer(_Mouth(self._companion))
        self._listening = asyncio.create_task(self._listen(client))
        from lsprotocol import types

        uri = self._folder.as_uri()
        folders = [types.WorkspaceFolder(uri, self._folder.name or "root")]
        client.feature("workspace/workspaceFolders")(lambda _: folders)
        greeting = types.InitializeParams(
            capabilities=_abilities(),
            process_id=None,  # ours is another one where it runs confined
            client_info=types.ClientInfo("jumar"),
            root_uri=uri,
            workspace_folders=folders,
            initialization_options=dict(options) or None,
        )
        able = (await self._in_time(client.initialize_async(greeting), _TO_BEGIN)).capabilities
        provider = able.diagnostic_provider
        self._answers = provider is not None
        self.joined = provider is not None and provider.inter_file_dependencies
        client.initialized(types.InitializedParams())
        client.workspace_did_change_configuration(types.DidChangeConfigurationParams(settings=self._settings))

    async def find(self, subject: Subject) -> tuple[Problem, ...]:
        """Return the problems of a text. Raises Broken where it does not answer."""
        client = self._client
        if client is None:
            raise Broken("it was never greeted")
        self.mute = False
        opened = self._show(client, subject)
        found = await self._ask(client, opened.uri) if self._answers else await self._await(subject.path, opened)
        return _problems(found, subject.text.split("\n"))

    def elsewhere(self) -> dict[Path, tuple[Problem, ...]]:
        """Return what it says of files by itself, as of now."""
        told = {}
        for path, heard in self._heard.items():
            opened = self._open.get(path)
            if opened is None:
                told[path] = _problems(heard.problems, ())
            elif not self._answers and self._is_of(heard, opened):
                told[path] = _problems(heard.problems, opened.text.split("\n"))
        return told

    def _is_of(self, heard: _Heard, opened: _Open) -> bool:
        """Whether what it said of a file is of the text that it was shown last."""
        return heard.version == opened.version if heard.version is not None else heard.number > opened.shown

    def noticed(self, paths: Sequence[Path]) -> None:
        """Tell it of files that changed on the disk."""
        from lsprotocol import types

        if self._client is None or self._companion.ended:
            return
        kinds = types.FileChangeType
        changes = [types.FileEvent(path.as_uri(), kinds.Changed if path.exists() else kinds.Deleted) for path in paths]
        self._client.workspace_did_change_watched_files(types.DidChangeWatchedFilesParams(changes))

    async def end(self) -> None:
        """End the server with all that it started."""
        await self._companion.end()
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait({self._listening})

    def _show(self, client: "LanguageClient", subject: Subject) -> _Open:
        """Show it a text, unless it has just this one already."""
        from lsprotocol import types

        opened = self._open.get(subject.path)
        if opened is None:
            uri, language = subject.path.as_uri(), _SPOKEN.get(subject.language, subject.language)
            self._open[subject.path] = opened = _Open(uri, language, subject.text, self._number)
            item = types.TextDocumentItem(uri, language, opened.version, subject.text)
            client.text_document_did_open(types.DidOpenTextDocumentParams(item))
            while len(self._open) > _MOST_OPEN:
                _, closed = self._open.popitem(last=False)
                client.text_document_did_close(types.DidCloseTextDocumentParams(types.TextDocumentIdentifier(closed.uri)))
            return opened
        self._open.move_to_end(subject.path)
        if opened.text == subject.text:
            return opened
        opened.text, opened.version, opened.shown = subject.text, opened.version + 1, self._number
        now = types.VersionedTextDocumentIdentifier(opened.version, opened.uri)
        change = types.TextDocumentContentChangeWholeDocument(subject.text)
        client.text_document_did_change(types.DidChangeTextDocumentParams(now, [change]))
        client.text_document_did_save(types.DidSaveTextDocumentParams(types.TextDocumentIdentifier(opened.uri)))
        return opened

    async def _ask(self, client: "LanguageClient", uri: str) -> "Sequence[types.Diagnostic]":
        from lsprotocol import types

        asked = types.DocumentDiagnosticParams(types.TextDocumentIdentifier(uri))
        report = await self._in_time(client.text_document_diagnostic_async(asked), _TO_ANSWER)
        return report.items if isinstance(report, types.RelatedFullDocumentDiagnosticReport) else ()

    async def _await(self, path: Path, opened: _Open) -> "Sequence[types.Diagnostic]":
        """Return what it says by itself of a text that it was shown."""
        clock = asyncio.get_running_loop().time
        until = clock() + (_UNASKED if opened.version > 1 else _UNASKED_AT_FIRST)
        while True:
            self._news.clear()
            heard = self._heard.get(path)
            said = heard is not None and self._is_of(heard, opened)
            if heard is not None and said and heard.version is not None:
                return heard.problems
            try:
                async with asyncio.timeout(_SETTLED if said else max(until - clock(), 0)):
                    await self._or_silence(self._news.wait())
            except TimeoutError:
                self.mute = not said
                return heard.problems if heard is not None and said else ()

    async def _in_time(self, answer: Awaitable[T], seconds: float) -> T:
        try:
            async with asyncio.timeout(seconds):
                return await self._or_silence(answer)
        except TimeoutError:
            raise Broken(f"it did not answer for {seconds:.0f} s") from None
        except Broken:
            raise
        except Exception as error:  # what it refuses comes as whatever the library makes of it
            raise Broken(f"it refused: {error}"[:300]) from error

    async def _or_silence(self, answer: Awaitable[T]) -> T:
        """Wait for an answer, or until the server falls silent. Raises Broken then. What comes too late is not missed."""
        listening = self._listening
        waiting = asyncio.ensure_future(answer)
        if listening is None:
            raise Broken("it was never greeted")
        try:
            await asyncio.wait({waiting, listening}, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                return waiting.result()
            fault = listening.exception() if not listening.cancelled() else None
            words = self._companion.last_words
            raise Broken(str(fault) if fault is not None else f"it ended{f': {words}' if words else ''}"[:300])
        finally:
            if not waiting.done():
                waiting.add_done_callback(_forget)
                if isinstance(waiting, asyncio.Task):
                    waiting.cancel()

    async def _listen(self, client: "LanguageClient") -> None:
        async for message in messages(self._companion.said):
            try:
                client.protocol.handle_message(client.protocol.structure_message(message))
            except Exception as error:  # what is no message of the protocol is not heard
                if "method" not in message:  # somebody waits for it
                    raise Broken("its answer cannot be read") from error

    def _hear(self, said: "types.PublishDiagnosticsParams") -> None:
        path = _path(said.uri)
        if path is None:
            return
        self._number += 1
        self._heard[path] = _Heard(self._number, said.version, tuple(said.diagnostics))
        self._heard.move_to_end(path)
        while len(self._heard) > _MOST_HEARD:
            self._heard.popitem(last=False)
        self._news.set()

    def _configure(self, asked: "types.ConfigurationParams") -> list[object]:
        return [_setting(self._settings, item.section) for item in asked.items[:100]]


class _Mouth:
    """What the library speaks through."""

    def __init__(self, companion: Companion) -> None:
        self._companion = companion

    def write(self, raw: bytes) -> None:
        self._companion.tell(raw)

    def close(self) -> None:
        """Nothing is closed by a message."""


def _forget(waiting: "asyncio.Future[Any]") -> None:
    """Take what comes too late, so that nobody complains that it was not taken."""
    if not waiting.cancelled():
        waiting.exception()


def _client() -> "LanguageClient":
    """Return the library's client, which would complain on the screen of a server's words."""
    from pygls.lsp.client import LanguageClient

    complaints = logging.getLogger("pygls")
    complaints.propagate = False
    if not complaints.handlers:
        complaints.addHandler(logging.NullHandler())
    return LanguageClient("jumar", "1")


def _abilities() -> "types.ClientCapabilities":
    from lsprotocol import types

    return types.ClientCapabilities(
        text_document=types.TextDocumentClientCapabilities(
            synchronization=types.TextDocumentSyncClientCapabilities(did_save=True),
            publish_diagnostics=types.PublishDiagnosticsClientCapabilities(version_support=True),
            diagnostic=types.DiagnosticClientCapabilities(dynamic_registration=False, related_document_support=False),
        ),
        workspace=types.WorkspaceClientCapabilities(
            configuration=True,
            workspace_folders=True,
            did_change_watched_files=types.DidChangeWatchedFilesClientCapabilities(dynamic_registration=True),
        ),
        window=types.WindowClientCapabilities(work_done_progress=False),
    )


def _setting(settings: Mapping[str, Any], section: str | None) -> object:
    at: Any = settings
    for part in (section or "").split("."):
        at = at.get(part) if part and isinstance(at, dict) else at if not part else None
    return at


def _path(uri: str) -> Path | None:
    try:
        parts = urlsplit(uri)
        path = Path(unquote(parts.path))
    except ValueError:
        return None
    return path if parts.scheme == "file" and path.is_absolute() and "\0" not in parts.path else None


def _problems(found: "Sequence[types.Diagnostic]", lines: Sequence[str]) -> tuple[Problem, ...]:
    """Return errors and warnings; what is only a hint or a remark is left out."""
    told = []
    for one in found:
        severity = int(one.severity) if one.severity is not None else 1
        if severity > 2:
            continue
        code = "" if one.code is None else str(one.code)
        told.append(problem(one.range.start.line + 1, one.message, code, lines, grave=severity == 1))
    return tuple(told)
