"""Owns the advice: what each fault of a server is called, what jumar does about it, and which launch flags mend it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

Flags = Mapping[str, tuple[str, ...]]

ENGINES = {"vllm": "vLLM", "sglang": "SGLang", "llama.cpp": "llama.cpp"}
_LAUNCH = {
    "vllm": "vllm serve MODEL",
    "sglang": "python -m sglang.launch_server --model-path MODEL",
    "llama.cpp": "llama-server -m MODEL.gguf",
}
_FAMILIES = ((re.compile(r"kimi-?k3|\bk3\b", re.IGNORECASE), "kimi_k3"), (re.compile(r"kimi", re.IGNORECASE), "kimi_k2"))
_UNKNOWN_PARSER = "PARSER"
_CALLS: Flags = {
    "vllm": ("--enable-auto-tool-choice", "--tool-call-parser {parser}"),
    "sglang": ("--tool-call-parser {parser}",),
    "llama.cpp": ("--jinja",),
}
_THINKING: Flags = {
    "vllm": ("--reasoning-parser {parser}",),
    "sglang": ("--reasoning-parser {parser}",),
    "llama.cpp": ("--jinja", "--reasoning-format auto"),
}
_BOTH: Flags = {engine: tuple(dict.fromkeys((*_CALLS[engine], *_THINKING[engine]))) for engine in ENGINES}
_PIECES: Flags = {"vllm": ("--stream-interval 1",), "sglang": ("--stream-interval 1",)}
_CACHE: Flags = {
    "vllm": ("--enable-prefix-caching", "--enable-prompt-tokens-details"),
    "sglang": ("--enable-cache-report",),
    "llama.cpp": ("--cache-reuse 256",),
}
_USAGE: Flags = {"vllm": ("--enable-force-include-usage",)}
_ROOM: Flags = {
    "vllm": ("--max-model-len 131072",),
    "sglang": ("--context-length 131072",),
    "llama.cpp": ("--ctx-size 131072", "--parallel 1"),
}
_INVALID = "does not run the call and tells the model what is wrong; after 5 such steps the next of your models goes on"
_NO_CURE = "takes it as it is: nothing makes up for it; use another model or server"
_AGAIN = "throws away what came and asks again, 6 times at most; then the next of your models goes on"


@dataclass(frozen=True, slots=True)
class Remedy:
    """What a fault is called, what jumar does about it, and the flags that mend it, by engine."""

    title: str
    jumar: str
    flags: Flags = field(default_factory=dict)


_REMEDIES = {
    "silent": Remedy("no answer in time", "waits for 300 s without a byte, shows for how long, and asks again"),
    "failed": Remedy("the server could not answer", _AGAIN),
    "refused": Remedy(
        "requests are refused", "sends it once more in a plainer form where that may help; else the turn fails", _BOTH
    ),
    "context": Remedy("the window is too small", "shortens what the model is told, and asks again", _ROOM),
    "cut_off": Remedy("streams that break off", _AGAIN),
    "garbled": Remedy("answers that are none", _AGAIN, _BOTH),
    "cut": Remedy("answers cut for their length", "never runs a call that was cut, and tells the model", _ROOM),
    "empty": Remedy("empty answers", "asks without streaming, then asks the model to go on, twice in a row at most", _BOTH),
    "resent": Remedy("streams without an answer", "asks again without streaming: it costs the answer twice", _BOTH),
    "flood": Remedy("endless white space", "cuts the answer where it floods"),
    "history": Remedy("a history is refused for its form", "sends it again in a plainer form"),
    "one_piece": Remedy("answers in one piece", "shows how long it waits; nothing can be read before the end", _PIECES),
    "one_piece_call": Remedy("calls in one piece", "shows how long it waits while a call is written", _PIECES),
    "slow_start": Remedy("a slow start", "waits for 300 s and shows for how long"),
    "long_silence": Remedy("long silences", "waits for 300 s and shows for how long"),
    "needless_call": Remedy("calls that nothing asked for", "runs them as any call, within what you allow: they cost steps"),
    "missed_call": Remedy(
        "no call where one is needed",
        "takes words alone for the end of the task: nothing makes up for it; use another model or server",
        _CALLS,
    ),
    "wrong_tool": Remedy("a wrong tool", _INVALID),
    "unknown_tool": Remedy("tools that do not exist", _INVALID, _CALLS),
    "no_json": Remedy("arguments that are no JSON object", _INVALID, _CALLS),
    "schema": Remedy("arguments that do not fit their schema", _INVALID),
    "wrong_value": Remedy("arguments that say something else", _NO_CURE),
    "one_at_a_time": Remedy("one call at a time", "works all the same, with more requests"),
    "asks_again": Remedy(
        "calls again what was told", "reminds the model at the 3rd, 5th and 8th same call, and stops at the 12th"
    ),
    "lost_result": Remedy("replies that are not used", _NO_CURE),
    "mangled": Remedy(
        "long arguments that come back changed",
        "refuses an edit whose old text is not in the file; what is written anew may be wrong: look at its diffs",
    ),
    "leaked_call": Remedy("calls leaked as markup", "reads them out of the text, for tools on offer only", _BOTH),
    "fenced_call": Remedy("calls written as JSON text", "reads them out of the text, for tools on offer only", _CALLS),
    "arguments": Remedy(
        "arguments encoded twice or wrongly",
        "reads them where that is certain; else does not run the call and tells the model",
        _CALLS,
    ),
    "identity": Remedy("missing or repeated ids or names", "gives each call an id of its own", _CALLS),
    "markup": Remedy("special tokens in the text", "strips what it knows at the edges of an answer", _BOTH),
    "no_usage": Remedy("tokens are not counted", "estimates them from the text; the cost stays unknown", _USAGE),
    "odd_usage": Remedy("token counts that cannot be", "shows what it is told; do not trust its cost"),
    "no_cache": Remedy(
        "no prefix kept, or not told", "keeps the beginning of every request the same, so that it can be kept", _CACHE
    ),
}


def remedy(kind: str) -> Remedy:
    """Return what is to be said of a fault."""
    return _REMEDIES[kind]


def engines(server: str) -> tuple[str, ...]:
    """Return the engines whose flags are worth a word: the one that runs, or all where it is unknown; none of a service."""
    return (server,) if server in ENGINES else () if server else tuple(ENGINES)


def flags(kind: str, model: str, server: str) -> dict[str, list[str]]:
    """Return the flags that mend a fault, by engine."""
    found = _REMEDIES[kind].flags
    return {
        engine: [flag.format(parser=_parser(model)) for flag in found[engine]] for engine in engines(server) if engine in found
    }


def launch(kinds: Iterable[str], model: str, server: str) -> dict[str, str]:
    """Return the command that starts each engine with all flags that mend the faults."""
    wanted: dict[str, dict[str, None]] = {}
    for kind in kinds:
        for engine, found in flags(kind, model, server).items():
            wanted.setdefault(engine, {}).update(dict.fromkeys(found))
    return {engine: " ".join((_LAUNCH[engine], *wanted[engine])) for engine in ENGINES if engine in wanted}


def parser_is_unknown(model: str) -> bool:
    """Tell whether a person has to find out the name of the model's parser."""
    return _parser(model) == _UNKNOWN_PARSER


def _parser(model: str) -> str:
    return next((parser for pattern, parser in _FAMILIES if pattern.search(model)), _UNKNOWN_PARSER)
