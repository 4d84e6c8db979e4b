"""Owns a model in a file: llama.cpp runs it in this process, in a thread of its own, through `xllamacpp`."""

import asyncio
import importlib
import importlib.util
import os
import secrets
import threading
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from typing import Any, Protocol

from agent.errors import Fault, ModelError, UsageError
from agent.messages import Answer
from agent.model import CallDelta, Capabilities, Chunk, Failed, Request
from agent.providers import envelope
from agent.providers.gguf import head
from agent.providers.merge import Merge
from agent.safe import safe_line

_ASSUMED = 32_768  # tokens of a window that nobody named, where the model was trained for more: the memory is for the whole of it
_BATCH = 64  # tokens of the prompt between two looks at whether somebody still wants the answer
_PIECE = 4 << 20  # bytes
_SHARE = 4  # of the window, the part that one answer may take


class Engine(Protocol):
    """What runs a model: takes a chat request, and lets `hear` have each event of the answer until it returns True."""

    def handle_chat_completions(self, request: dict[str, Any], hear: Callable[[Any], bool]) -> object:
        """Answer; returns when it is over. Raises ValueError for a request that is none."""
        ...


def load(path: Path, window: int, threads: int) -> Engine:
    """Load a model. Raises RuntimeError where that fails."""
    library = importlib.import_module("xllamacpp")
    wanted = library.CommonParams()
    wanted.model.path = str(path)
    wanted.n_ctx = window
    wanted.n_parallel = 1
    wanted.n_batch = wanted.n_ubatch = _BATCH
    wanted.cpuparams.n_threads = wanted.cpuparams_batch.n_threads = threads
    wanted.cache_ram_mib = 0
    wanted.warmup = False
    wanted.verbosity = 0
    # The library always opens a port on the loopback as well: nobody is to find anything behind it.
    wanted.api_keys = [secrets.token_hex(32)]
    wanted.n_threads_http = 1
    wanted.ui = wanted.endpoint_slots = False
    engine: Engine = library.Server(wanted)
    return engine


class LocalModel:
    """A model in a GGUF file, loaded when it is first asked. `window` is its context in tokens, where the person says."""

    def __init__(
        self, path: str, window: int | None = None, *, threads: int = 1, opening: Callable[[Path, int, int], Engine] | None = None
    ) -> None:
        """Look at the file's head only. Raises UsageError where there is no model in it, or nothing to run it with."""
        self._path = Path(os.path.expanduser(path)).absolute()  # noqa: PTH111 - pathlib fails where there is no such person
        found = head(self._path)
        if opening is None and importlib.util.find_spec("xllamacpp") is None:
            raise UsageError("models in files need what is not installed here: pip install 'jumar[local]'")
        self._opening = opening or load
        self._threads = threads
        self._thread: ThreadPoolExecutor | None = None
        self._engine: Engine | None = None
        self._stop = threading.Event()
        self.name = safe_line(self._path.name)
        trained = found.window or _ASSUMED
        source = "--context" if window else "the file" if found.window and trained <= _ASSUMED else "assumed"
        self.capabilities = Capabilities(window=window or min(trained, _ASSUMED), source=source)

    async def ready(self) -> None:
        """All that is known stands in the file."""

    async def count(self, request: Request) -> int | None:
        """It is not counted before it is answered."""
        return None

    async def stream(self, request: Request) -> AsyncGenerator[Chunk, None]:
        """Answer once. Closing the stream or cancelling has the thread stop at its next token, or part of the prompt."""
        try:
            async with aclosing(self._answer(request)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except ModelError as error:
            yield Failed(error)

    async def close(self) -> None:
        """Wait for the thread's end, and free the model."""
        if self._thread is None:
            return
        thread, self._thread = self._thread, None
        self._stop.set()
        await asyncio.wrap_future(thread.submit(self._free))
        thread.shutdown()

    async def _answer(self, request: Request) -> AsyncGenerator[Chunk, None]:
        taken = {call.id for message in request.messages if isinstance(message, Answer) for call in message.calls}
        taking = _Taking(envelope.Envelope(len(taken)) if request.tools else None)
        events, stop = self._begin(self._body(request))
        try:
            while (event := await events.get()) is not None:
                if isinstance(event, BaseException):
                    raise self._fault(event) from event
                taking.take(event)
                for chunk in taking.told():
                    yield chunk
        finally:
            stop.set()
        if not taking.merge.ended:
            raise ModelError(f"{self.name} broke off before its answer was whole", Fault.CUT)
        for chunk in taking.told():
            yield chunk
        names = {tool.name for tool in request.tools}
        yield taking.merge.finished(names, taken, self.name)

    def _begin(self, body: dict[str, Any]) -> tuple["asyncio.Queue[Any]", threading.Event]:
        """Have the thread answer, after what it still does; the queue gets events, at last an error if any, and None."""
        loop = asyncio.get_running_loop()
        events: asyncio.Queue[Any] = asyncio.Queue()
        stop = self._stop = threading.Event()

        def hear(event: object) -> bool:
            if not stop.is_set():
                loop.call_soon_threadsafe(events.put_nowait, event)
            return stop.is_set()

        def generate() -> None:
            if self._engine is None and not stop.is_set():
                self._warm(stop)
            if self._engine is None and not stop.is_set():
                self._engine = self._opening(self._path, self.capabilities.window, self._threads)
            if self._engine is not None and not stop.is_set():
                self._engine.handle_chat_completions(body, hear)

        def over(done: Future[None]) -> None:
            if not stop.is_set():
                for last in (done.exception(), None):
                    loop.call_soon_threadsafe(events.put_nowait, last)

        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "local-model")
        self._thread.submit(generate).add_done_callback(over)
        return events, stop

    def _warm(self, stop: threading.Event) -> None:
        """Have the system read the file: what loads it holds the interpreter, and is not to wait for a disk."""
        piece = bytearray(_PIECE)
        with self._path.open("rb", buffering=0) as opened:
            while not stop.is_set() and opened.readinto(piece):
                pass

    def _free(self) -> None:
        self._engine = None

    def _body(self, request: Request) -> dict[str, Any]:
        body: dict[str, Any] = {
            "messages": envelope.messages(request.system, request.messages, request.tools),
            "max_tokens": request.max_tokens or self.capabilities.window // _SHARE,
            "stream": True,
            "stream_options": {"include_usage": True},
            "return_progress": True,  # an event for each part of the prompt, so that it can be stopped there
            "chat_template_kwargs": {"enable_thinking": False},
        }
        if request.tools:
            schema = envelope.schema(request.tools)
            body["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
        return body

    def _fault(self, error: BaseException) -> ModelError:
        why = safe_line(str(error))[:300]
        if self._engine is None:
            told = "" if isinstance(error, RuntimeError) else f" ({why})"  # that one says nothing
            return ModelError(
                f"{self.name} could not be loaded{told}: the file is damaged, of a kind that is not known here, "
                "or too large for the memory; a smaller --context takes less of it",
                Fault.REFUSED,
            )
        return ModelError(f"{self.name} cannot be asked so: {why}", Fault.REFUSED)


class _Taking:
    """Takes an answer's events in, out of the object that a constrained answer comes in."""

    def __init__(self, letter: envelope.Envelope | None) -> None:
        self.merge = Merge(_fault_of)
        self._envelope = letter
        self._writing: tuple[str, int] | None = None

    def take(self, event: Any) -> None:
        """Take in one event. Raises ModelError where it tells of an error."""
        if not isinstance(event, dict):
            return
        kept = {key: event[key] for key in ("choices", "usage", "error") if event.get(key)}
        choices = kept.get("choices")
        if self._envelope is not None and choices:
            kept["choices"] = [self._opened(self._envelope, choices[0])]
        self.merge.take(kept)

    def told(self) -> list[Chunk]:
        """Return what came since the last time."""
        chunks = self.merge.told()
        writing = self._envelope.writing if self._envelope is not None and not self.merge.ended else None
        if writing is not None and writing != self._writing:
            self._writing = writing
            chunks.append(CallDelta(*writing))
        return chunks

    @staticmethod
    def _opened(letter: envelope.Envelope, choice: dict[str, Any]) -> dict[str, Any]:
        delta = choice.get("delta") or {}
        content = letter.take(delta.get("content") or "")
        delta = {**delta, "content": content}
        if reason := choice.get("finish_reason"):
            delta = {**delta, **letter.rest()}
        return {"delta": delta, "finish_reason": reason}


def _fault_of(error: object) -> ModelError:
    told = error if isinstance(error, dict) else {"message": error}
    words = safe_line(str(told.get("message", "")))[:300]
    if told.get("type") == "exceed_context_size_error":
        return ModelError(f"the model's context is too small: {words}; --context makes it larger", Fault.CONTEXT)
    return ModelError(f"the model broke off: {words}", Fault.GARBLED)
