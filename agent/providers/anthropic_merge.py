"""Owns the merging of a Messages answer: its events told as `Merge` takes them, its content kept as it came."""

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

from agent.errors import Fault, ModelError
from agent.messages import Call, Sealed, Usage
from agent.model import Chunk, Finished, ToolOffer
from agent.providers.merge import Merge
from agent.providers.plain import plain_arguments
from agent.safe import mended

_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",  # of tools that run at the server, of which none is ever offered
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "refusal": "content_filter",
}
_KINDS = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "thinking", "input_json_delta": "tool_use"}
_THOUGHT = {"thinking", "redacted_thinking"}
_PIECES = {"text": "text", "thinking": "thinking", "signature": "thinking", "partial_json": "tool_use"}
_LARGEST = 64 << 20  # characters of what is kept, but not told
_NOTHING = 4  # tokens
_COUNTS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


class _Block:
    """One block of the content, as it began and as it grew."""

    __slots__ = ("begun", "kind", "number", "pieces", "signature")

    def __init__(self, kind: str, number: int) -> None:
        self.kind = kind
        self.number = number  # among the answer's blocks
        self.begun: dict[str, Any] = {}
        self.pieces: list[str] = []  # of its text, thinking or input
        self.signature: list[str] = []


class BlockMerge:
    """Takes in the events of one answer. `fault` reads an error among them; `by` is where and of which model it is.

    Calls of `tools` are found in the words too. Where `thinking`, the words begin within thinking that nothing opens.
    """

    __slots__ = ("_blocks", "_by", "_by_index", "_counts", "_last", "_merge", "_reason", "_size")

    def __init__(
        self,
        fault: Callable[[object], ModelError],
        by: str,
        tools: Sequence[ToolOffer] = (),
        *,
        thinking: bool = False,
        as_json: bool = True,
    ) -> None:
        self._merge = Merge(fault, tools, thinking=thinking, as_json=as_json)
        self._by = by
        self._blocks: list[_Block] = []
        self._by_index: dict[int, _Block] = {}
        self._last: _Block | None = None
        self._counts: dict[str, int] = {}
        self._reason = ""
        self._size = 0

    @property
    def ended(self) -> bool:
        """Whether the server said why it stopped, or that it did."""
        return self._merge.ended

    @property
    def flooded(self) -> bool:
        """Whether the answer was endless, and nothing more of it is wanted."""
        return self._merge.flooded

    @property
    def nothing(self) -> bool:
        """Whether a whole answer said and called nothing; two or three tokens are what a model spends on saying just that."""
        return self._merge.nothing and not 0 < self._counts.get("output_tokens", 0) <= _NOTHING

    @property
    def thinks_unopened(self) -> bool:
        """Whether the words began within thinking that nothing opened, and that came to its end."""
        return self._merge.thinks_unopened

    def close(self) -> None:
        """Take the input that is still due, and decide on what was held back, as nothing more comes."""
        self._close_all()
        self._merge.close()

    def told(self) -> list[Chunk]:
        """Return what came since the last time, each kind in one piece. Raises ModelError for an endless answer."""
        return self._merge.told()

    def take(self, event: Any) -> None:
        """Take in one event. Raises ModelError where it tells of an error."""
        if not isinstance(event, dict):
            return
        match event.get("type") or _kind(event):
            case "content_block_delta":
                self._take_delta(event.get("index"), event.get("delta"))
            case "content_block_start":
                self._take_block(event.get("index"), event.get("content_block"))
            case "content_block_stop":
                self._close(self._at(event.get("index")))
            case "message_start":
                self._take_message(event.get("message"))
            case "message":
                self._take_message(event)
            case "message_delta":
                delta = event.get("delta")
                self._take_counts(event.get("usage"))
                if isinstance(delta, dict):
                    self._take_counts(delta.get("usage"))
                    self._take_reason(delta.get("stop_reason"))
            case "message_stop":
                self._take_reason("" if self.ended else "end_turn")
            case "ping":
                pass
            case _:  # an error, or an answer of another protocol at this address
                self._merge.take(event)

    def finished(self, names: Collection[str], taken: Collection[str], model: str) -> Finished:
        """Return the answer, whole. Raises ModelError where it is none."""
        self._close_all()
        if self._reason == "model_context_window_exceeded":
            raise ModelError("the answer filled what was left of the model's context", Fault.CONTEXT)
        finished = self._merge.finished(names, taken, model)
        answer = replace(finished.answer, reasoning_key="") if self._blocks else finished.answer
        if content := self._content(answer.calls):
            answer = replace(answer, sealed=Sealed(self._by, content))
        return replace(finished, answer=answer, usage=self._usage() or finished.usage)

    def _take_message(self, message: Any) -> None:
        if not isinstance(message, dict):
            return
        self._merge.take({"model": message.get("model")})
        self._take_counts(message.get("usage"))
        content = message.get("content")
        if isinstance(content, str):
            content = [{"type": "text", "text": content}]
        for block in content if isinstance(content, list) else ():
            self._take_block(None, block)
            self._close(self._last)
        self._take_reason(message.get("stop_reason"))

    def _take_block(self, index: object, begun: Any) -> None:
        kind = (begun.get("type") or "text") if isinstance(begun, dict) else None
        if not isinstance(kind, str):
            return
        known = self._by_index.get(index) if isinstance(index, int) else None
        block = known if known and known.kind == kind and not known.begun else self._begin(kind, index)
        block.begun = begun
        self._last = block
        if kind == "tool_use":
            self._tell_call(block, id=begun.get("id"), name=begun.get("name"), arguments="")
        elif kind in {"text", "thinking"}:
            if begun.get(kind):
                self._grow(block, begun[kind])
            self._sign(block, begun.get("signature"))
        else:
            self._keep(json.dumps(begun))

    def _take_delta(self, index: object, delta: Any) -> None:
        if not isinstance(delta, dict):
            return
        kind = _KINDS.get(str(delta.get("type"))) or next((kind for key, kind in _PIECES.items() if key in delta), "")
        if not kind:
            return  # of citations, or of a kind that is not known yet
        block = self._at(index)
        if block is None or block.kind != kind:
            if block is not None and block.kind not in _PIECES.values():
                return  # the input of a tool that runs at the server
            block = self._begin(kind, index)
        self._last = block
        if "signature" in delta:
            self._sign(block, delta["signature"])
        else:
            self._grow(block, delta.get("partial_json" if kind == "tool_use" else kind))

    def _at(self, index: object) -> _Block | None:
        return self._by_index.get(index) if isinstance(index, int) else self._last

    def _begin(self, kind: str, index: object) -> _Block:
        block = _Block(kind, len(self._blocks))
        self._blocks.append(block)
        if isinstance(index, int):
            self._by_index[index] = block
        return block

    def _grow(self, block: _Block, piece: object) -> None:
        if block.kind == "tool_use":
            if isinstance(piece, str):
                block.pieces.append(piece)
                self._tell_call(block, arguments=piece)
            elif isinstance(piece, dict):
                block.begun = {**block.begun, "input": piece}
        elif isinstance(piece, str) and piece:
            apart = "" if block.pieces or not self._said_before(block) else "\n\n"
            block.pieces.append(piece)
            self._tell({"content" if block.kind == "text" else "reasoning_content": apart + piece})

    def _said_before(self, block: _Block) -> bool:
        """Whether there are words of its kind before a block, and another kind between."""
        before = self._blocks[: block.number]
        return bool(before) and before[-1].kind != block.kind and any(one.kind == block.kind and one.pieces for one in before)

    def _sign(self, block: _Block, signature: object) -> None:
        if isinstance(signature, str):
            block.signature.append(signature)
            self._keep(signature)

    def _keep(self, text: str) -> None:
        self._size += len(text)
        if self._size > _LARGEST:
            raise ModelError(f"the answer holds more than {_LARGEST} characters of what nobody reads", Fault.GARBLED)

    def _close_all(self) -> None:
        for block in self._blocks:
            self._close(block)

    def _close(self, block: _Block | None) -> None:
        """Take the input that came with a call's beginning, where none came after it."""
        if block is None or block.kind != "tool_use" or any(block.pieces):
            return
        given = block.begun.get("input")
        if given:
            block.pieces = [given if isinstance(given, str) else json.dumps(given, ensure_ascii=False, separators=(",", ":"))]
            self._tell_call(block, arguments=block.pieces[0])

    def _tell_call(self, block: _Block, *, arguments: str, **head: object) -> None:
        part = {"index": block.number, "id": head.get("id"), "function": {"name": head.get("name"), "arguments": arguments}}
        self._tell({"tool_calls": [part]})

    def _tell(self, delta: dict[str, Any]) -> None:
        self._merge.take({"choices": [{"delta": delta}]})

    def _take_reason(self, reason: object) -> None:
        if not reason:
            return
        self._close_all()
        self._reason = str(reason)
        self._merge.take({"choices": [{"delta": {}, "finish_reason": _REASONS.get(self._reason, self._reason)}]})

    def _take_counts(self, raw: object) -> None:
        """Take what was counted last; a nought in one place does not make another's number untrue."""
        if isinstance(raw, dict):
            for key in _COUNTS:
                value = raw.get(key)
                if isinstance(value, int | float) and 0 < value < 1e15:
                    self._counts[key] = int(value)

    def _usage(self) -> Usage | None:
        if not self._counts:
            return None
        fresh, completion, cached, written = (self._counts.get(key, 0) for key in _COUNTS)
        return Usage(fresh + cached + written, completion, cached, written)

    def _content(self, calls: tuple[Call, ...]) -> str:
        """Return the content as JSON, its calls as they were settled; empty where it holds no thinking, or other calls."""
        blocks = list(self._blocks)
        while blocks and blocks[-1].kind in _THOUGHT:  # cut before it was signed, or with nothing behind it: refused as an end
            blocks.pop()
        if not any(block.kind in _THOUGHT for block in blocks) or sum(block.kind == "tool_use" for block in blocks) != len(calls):
            return ""
        left = iter(calls)
        content = [sealed for block in blocks if (sealed := _sealed(block, left))]
        if not any(block["type"] in _THOUGHT for block in content):
            return ""
        return mended(json.dumps(content, ensure_ascii=False, separators=(",", ":")))


def _sealed(block: _Block, calls: Iterator[Call]) -> dict[str, Any]:
    whole = "".join(block.pieces)
    match block.kind:
        case "text":
            return {"type": "text", "text": whole} if whole.strip() else {}  # an empty one is refused when it comes back
        case "thinking":
            signature = "".join(block.signature)
            signed = {"signature": signature} if block.signature else {}
            return {"type": "thinking", "thinking": whole, **signed} if whole or signature else {}
        case "tool_use":
            call = next(calls)
            arguments = json.loads(plain_arguments(call.arguments))
            return {"type": "tool_use", "id": call.id, "name": call.name, "input": arguments}
        case _:
            return block.begun


def _kind(event: dict[str, Any]) -> str:
    """Return what an event is that does not say it."""
    if "content_block" in event:
        return "content_block_start"
    if isinstance(delta := event.get("delta"), dict):
        return "message_delta" if "stop_reason" in delta else "content_block_delta"
    if isinstance(event.get("message"), dict):
        return "message_start"
    return "message" if "content" in event else ""
