"""Owns the forms in which models write calls into their words, and the reading of each."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from agent.providers.offers import Offers, objects
from agent.providers.repair import as_text

SECTION = re.compile(r"<\|tool_calls?_section_begin\|>")
CALL = "<|tool_call_begin|>"
_ARGUMENTS = "<|tool_call_argument_begin|>"
_HEADER = re.compile(r"[^<]{0,200}")
_STOP = re.compile(r"<\|tool_call_end\|>|<\|tool_calls?_section_end\|>|<\|tool_call_begin\|>")
_CALL_END = re.compile(r"\s*<\|tool_call_end\|>")
_SECTION_END = re.compile(r"\s*<\|tool_calls?_section_end\|>")
_BLANK = re.compile(r"\s*")

# K3 writes <|open|>NAME ATTRIBUTES<|sep|> and <|close|>NAME<|sep|>.
_NAMES = ("think", "response", "message", "tools", "call")
_BEGUN = "|".join(name[:end] for name in _NAMES for end in range(len(name)))
ELEMENT = re.compile(rf"<\|(?P<way>open|close)\|>(?P<name>{'|'.join(_NAMES)})(?: [^<]{{0,200}})?<\|sep\|>")
ELEMENT_BEGUN = re.compile(
    rf"<\|(?:open|close)\|>(?:(?:{_BEGUN})|(?:{'|'.join(_NAMES)})(?: [^<]{{0,200}})?(?:<(?:\|(?:s(?:e(?:p\|?)?)?)?)?)?)\Z"
)
_TOOLS_OPEN = re.compile(r"<\|open\|>tools<\|sep\|>\s*")
_TOOLS_CLOSE = re.compile(r"\s*<\|close\|>tools<\|sep\|>")
_CALL_OPEN = re.compile(r'\s*<\|open\|>call tool="(?P<name>[^"<]{1,200})"[^<]{0,100}<\|sep\|>')
_CALL_CLOSE = "<|close|>call<|sep|>"
_ARGUMENT = re.compile(
    r'\s*<\|open\|>argument key="(?P<key>[^"<]{1,200})"(?: type="(?P<type>[a-z]{1,20})")?[^<]{0,100}<\|sep\|>'
    r"(?P<value>.*?)<\|close\|>argument<\|sep\|>",
    re.DOTALL,
)

_TAG_END = re.compile(r"\s*</tool_call>")
FENCE = re.compile(r"(?P<ticks>`{3,})[ \t]*(?P<kind>json[c5]?|tool_calls?|tool|function)?[ \t]*(?=[\s{\[]|\Z)", re.IGNORECASE)
_FENCE_BEGUN = re.compile(r"`{3,}[ \t]*[a-z_]{0,10}[ \t]*\Z", re.IGNORECASE)
_KEY = re.compile(r'\s*(?:\[\s*)?\{\s*"(?P<key>name|type|function|id|arguments|parameters)"\s*:\s*')
_KEY_BEGUN = re.compile(r'\s*(?:\[\s*)?(?:\{\s*(?:"(?:[a-z]{0,10}(?:"\s*(?::\s*)?)?)?)?)?\Z')
_BROKEN = re.compile(r'\s*(?:\[\s*)?\{\s*(?:"type"\s*:\s*"function"\s*,\s*)?"name"\s*:\s*"(?P<name>[^"\\]{1,200})"')
_KEYS = {"name", "type", "function", "id", "arguments", "parameters"}
LONGEST_OPENING = 400  # characters that may pass before it is sure that a call is being written

# What ends or parts the words of a model, and belongs to none of them.
TOKENS = (
    "<|im_end|>", "<|im_start|>", "<|im_middle|>", "<|im_assistant|>", "<|im_user|>", "<|im_system|>", "<|endoftext|>",
    "<|end_of_text|>", "<|begin_of_text|>", "<|eot_id|>", "<|eom_id|>", "<|end|>", "<|return|>", "<|python_tag|>", "</s>",
    "<|tool_call_end|>", "<|tool_calls_section_end|>", "<|tool_call_section_end|>",
)  # fmt: skip
_MOST_CALLS = 128  # in one passage
_MOST_BROKEN = 3  # of these; to find that a value has no end takes as long as the text is


class Verdict(Enum):
    """Whether a call begins at a place, as far as the text goes."""

    NO = "no"
    PERHAPS = "perhaps"
    YES = "yes"


def judged(judge: Callable[[str], Verdict], text: str, at: int) -> Verdict:
    """Judge what begins at a place by as much as an opening may be long: the same whether it came at once or in pieces."""
    verdict = judge(text[at : at + LONGEST_OPENING])
    return Verdict.NO if verdict is Verdict.PERHAPS and len(text) - at >= LONGEST_OPENING else verdict


@dataclass(frozen=True, slots=True)
class Written:
    """A call that was written out; where its arguments are broken they are what stood there."""

    name: str
    arguments: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class Passage:
    """Calls that stand together, where they end, and whether the last of them was closed: it is not cut then."""

    calls: tuple[Written, ...]
    end: int
    closed: bool


def k2_begins(text: str) -> Verdict:
    """Judge a section or call mark of K2: it is one only with all that comes before the arguments."""
    place = 0
    if section := SECTION.match(text):
        place = _past_blanks(text, section.end())
    if not text.startswith(CALL, place):
        return _perhaps(CALL.startswith(text[place:]))
    place = _past(_HEADER, text, place + len(CALL))
    if text.startswith(_ARGUMENTS, place):
        return Verdict.YES
    return _perhaps(_ARGUMENTS.startswith(text[place:]))


def k2_passage(text: str, at: int, offers: Offers) -> Passage | None:
    """Read K2's calls, with or without the marks of a section; None where none is of a tool that was offered."""
    section = SECTION.match(text, at)
    place = section.end() if section else at
    calls: list[Written] = []
    closed = False
    broken = 0
    while text.startswith(CALL, begin := _past_blanks(text, place)) and len(calls) < _MOST_CALLS:
        place_of_name = begin + len(CALL)
        end_of_name = _past(_HEADER, text, place_of_name)
        words = text[place_of_name:end_of_name].strip()
        if not text.startswith(_ARGUMENTS, end_of_name):
            if not _ARGUMENTS.startswith(text[end_of_name:]) or not offers.named(words):
                break
            calls.append(Written(offers.named(words), words))  # cut before its arguments
            place, closed = len(text), False
            break
        begin = _past_blanks(text, end_of_name + len(_ARGUMENTS))
        value_end = _value_end(text, begin) if broken < _MOST_BROKEN else begin
        broken += value_end == begin
        stop = _STOP.search(text, value_end)
        place = stop.start() if stop else len(text)
        arguments = without_tokens(text[begin:place]) if stop is None else text[begin:place]
        calls.append(Written(offers.named(words) or words, arguments.strip(), words))
        end = _CALL_END.match(text, place)
        closed = stop is not None
        place = end.end() if end else place
    if not any(offers.named(call.name) for call in calls):
        return None
    if end := _SECTION_END.match(text, place):
        place = end.end()
    return Passage(tuple(calls), place, closed)


def k3_passage(text: str, at: int, offers: Offers) -> Passage | None:
    """Read K3's calls; one that is not whole to its last mark is broken, since more arguments might have come."""
    tools = _TOOLS_OPEN.match(text, at)
    place = tools.end() if tools else at
    calls: list[Written] = []
    closed = False
    broken = 0
    while (call := _CALL_OPEN.match(text, place)) and len(calls) < _MOST_CALLS and broken < _MOST_BROKEN:
        begin = place = call.end()
        given: dict[str, Any] | None = {}
        while argument := _ARGUMENT.match(text, place):
            given = _with(given, argument)
            place = argument.end()
        place = _past_blanks(text, place)
        closed = text.startswith(_CALL_CLOSE, place)
        if closed:
            arguments = "" if given is None else as_text(given)
            arguments = arguments or text[begin:place]
            place += len(_CALL_CLOSE)
        else:
            broken += 1
            stop = text.find(_CALL_CLOSE, place)
            arguments = text[begin:] if stop < 0 else text[begin:stop]
            place = len(text) if stop < 0 else stop + len(_CALL_CLOSE)
        calls.append(Written(offers.named(call["name"]) or call["name"], arguments or "<|open|>"))
    if not any(offers.named(call.name) for call in calls):
        return None
    if end := _TOOLS_CLOSE.match(text, place):
        place = end.end()
    return Passage(tuple(calls), place, closed)


def tag_begins(text: str) -> Verdict:
    """Judge the tag in which Qwen's and Hermes' models write calls."""
    place = _past_blanks(text, 0)
    if place == len(text):
        return Verdict.PERHAPS
    return Verdict.YES if text[place] in "{[" else Verdict.NO


def tag_passage(text: str, at: int, offers: Offers) -> Passage | None:
    """Read the calls in a tag whose inside begins at a place; None where one is of no tool that was offered."""
    place = _past_blanks(text, at)
    try:
        value, end = objects(text, place)
    except ValueError:
        found = _TAG_END.search(text, place)
        raw = text[place : found.start()] if found else without_tokens(text[place:])
        broken = _broken(raw, offers)
        return Passage((broken,), found.end() if found else len(text), found is not None) if broken else None
    calls = _calls(value, offers, strict=False)
    if not calls:
        return None
    found = _TAG_END.match(text, end)
    return Passage(calls, found.end() if found else end, found is not None)


def fence_begins(text: str, offers: Offers) -> Verdict:
    """Judge backticks at the beginning of a line: a fence of JSON whose first key could be a call's."""
    fence = FENCE.match(text)
    if fence is None:
        return _perhaps(bool(_FENCE_BEGUN.match(text)))
    if fence.end() == len(text):
        return Verdict.PERHAPS
    return json_begins(text[fence.end() :], offers)


def json_begins(text: str, offers: Offers) -> Verdict:
    """Judge whether an object or a list begins as a call does: with a key of one, and the name of a tool where it is that."""
    if not offers.as_json:
        return Verdict.NO
    found = _KEY.match(text)
    if found is None:
        return _perhaps(bool(_KEY_BEGUN.match(text)))
    rest = text[found.end() :]
    if found["key"] in {"name", "type"}:
        if not rest:
            return Verdict.PERHAPS
        value, closed, _ = rest[1:].partition('"')
        if rest[0] != '"' or "\\" in value:
            return Verdict.NO
        if not closed:
            return Verdict.PERHAPS
        known = value == "function" if found["key"] == "type" else bool(offers.named(value))
        return Verdict.YES if known else Verdict.NO
    return Verdict.YES


def fence_passage(text: str, at: int, offers: Offers) -> Passage | None:
    """Read the calls of fences that end the text; None where there is more after them, or one that is no call."""
    calls: list[Written] = []
    place = at
    while fence := FENCE.match(text, place):
        found, place = _in_json(text, fence.end(), fence["ticks"], offers)
        if not found:
            return None
        calls += found
        place = _past_blanks(text, place)
    if not calls or without_tokens(text[place:]).strip():
        return None
    return Passage(tuple(calls), len(text), closed=text[:place].rstrip().endswith("```"))


def json_passage(text: str, at: int, offers: Offers) -> Passage | None:
    """Read the calls of a text that is nothing but JSON."""
    calls, place = _in_json(text, at, "", offers)
    return Passage(tuple(calls), len(text), closed=True) if calls and not without_tokens(text[place:]).strip() else None


def without_tokens(text: str) -> str:
    """Return the text without special tokens at its end."""
    end = len(text)
    while True:
        last = end
        while last and text[last - 1].isspace():
            last -= 1
        token = next((token for token in TOKENS if text.endswith(token, 0, last)), None)
        if token is None:
            return text if end == len(text) else text[:last]
        end = last - len(token)


def name_begun(text: str, offers: Offers) -> str:
    """Return the tool that the first call of a passage names, as far as that can be seen."""
    words = text[:LONGEST_OPENING]
    for pattern in (
        r"<\|tool_call_begin\|>([^<]{1,200})<",
        r'<\|open\|>call tool="([^"<]{1,200})"',
        r'"name"\s*:\s*"([^"]{1,200})"',
    ):
        if found := re.search(pattern, words):
            return offers.named(found[1])
    return ""


def _in_json(text: str, at: int, ticks: str, offers: Offers) -> tuple[list[Written], int]:
    """Return the calls of one fence, or of a bare text, and where it ends; none where one does not fit its tool."""
    calls: list[Written] = []
    place = _past_blanks(text, at)
    while text[place : place + 1] in {"{", "["} and len(calls) < _MOST_CALLS:
        try:
            value, end = objects(text, place)
        except ValueError:
            close = re.search(rf"^[ \t]*{ticks}`*[ \t]*$" if ticks else r"\Z", text[place:], re.MULTILINE)
            raw = text[place : place + close.start()] if close else text[place:]
            broken = _broken(without_tokens(raw).rstrip("` \n"), offers)
            return ([*calls, broken] if broken else []), place + close.end() if close else len(text)
        found = _calls(value, offers, strict=True)
        if not found:
            return [], place
        calls += found
        place = _past_blanks(text, end)
        if text[place : place + 1] == ",":
            place = _past_blanks(text, place + 1)
    if ticks and text.startswith(ticks, place):
        place += len(ticks)
    elif ticks and without_tokens(text[place:]).strip():
        return [], place
    return calls, place


def _calls(value: Any, offers: Offers, *, strict: bool) -> tuple[Written, ...]:
    """Return the calls that JSON is: one object, or a list of them; none where one of them is no call."""
    found = []
    for one in value if isinstance(value, list) else [value]:
        call = _call(one, offers, strict=strict)
        if call is None:
            return ()
        found.append(call)
    return tuple(found)


def _call(value: Any, offers: Offers, *, strict: bool) -> Written | None:
    if not isinstance(value, dict) or (strict and not value.keys() <= _KEYS):
        return None
    inner = value["function"] if isinstance(value.get("function"), dict) else value
    name = offers.named(inner["name"]) if isinstance(inner.get("name"), str) else ""
    key = next((key for key in ("arguments", "parameters") if key in inner), "")
    if not name or (strict and not key):
        return None
    given = inner.get(key, {})
    plain = given
    if isinstance(given, str):
        try:
            plain = objects(given.strip(), 0)[0]
        except ValueError:
            plain = None
    if strict and not (isinstance(plain, dict) and offers.fit(name, plain)):
        return None
    text = given if isinstance(given, str) else as_text(given)
    identity = value.get("id")
    return Written(name, text, identity if isinstance(identity, str) else "")


def _broken(raw: str, offers: Offers) -> Written | None:
    """Return a call that names its tool, but cannot be read: all that stood there is its arguments, which are none."""
    found = _BROKEN.match(raw)
    name = offers.named(found["name"]) if found else ""
    return Written(name, raw) if name else None


def _with(given: dict[str, Any] | None, argument: re.Match[str]) -> dict[str, Any] | None:
    """Return K3's arguments and one more; None where it is broken, or stands there twice."""
    if given is None or argument["key"] in given:
        return None
    value: Any = argument["value"]
    if argument["type"] not in {None, "string"}:
        try:
            value, end = objects(value.strip(), 0)
        except ValueError:
            return None
        if end != len(argument["value"].strip()):
            return None
    return {**given, argument["key"]: value}


def _value_end(text: str, at: int) -> int:
    """Return where the JSON value at a place ends, so that a mark in one of its strings is none; the place where it is broken."""
    try:
        return objects(text, at)[1]
    except ValueError:
        return at


def _past(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at


def _past_blanks(text: str, at: int) -> int:
    return _past(_BLANK, text, at)


def _perhaps(begun: bool) -> Verdict:
    return Verdict.PERHAPS if begun else Verdict.NO
