"""The screen tells what happens, and what the person does reaches the session."""

import asyncio

from textual import events
from textual.widgets import TextArea

from tests.fakes import ScriptedServer, answer
from tests.runs import Person
from tests.screens import Screen, screen_of
from tui.asking import Asking
from tui.chips import Written
from tui.prompt import Prompt


async def asked(screen: Screen) -> None:
    """Wait until an approval can be answered."""
    await screen.see("May it?")
    await screen.heard()


async def test_a_prompt_is_sent_and_the_answer_is_shown(person: Person, server: ScriptedServer) -> None:
    server.script.append(answer("All is **well**."))
    async with screen_of(person) as screen:
        await screen.say("how are you?")
        await screen.see("❯ how are you?", "All is well.")
        await screen.pilot.press("ctrl+c")
        await screen.see("Ctrl+C again quits")


async def test_an_approval_is_answered_in_place(person: Person, server: ScriptedServer) -> None:
    server.script += [answer("", calls=[("write", {"path": "a.txt", "content": "one\n"})]), answer("Done.")]
    async with screen_of(person, mode="ask") as screen:
        await screen.say("write it")
        await screen.see("May it?", "a.txt", "one")
        asking = screen.app.query_one(Asking)
        early = asking.is_deaf  # else this machine took too long to press it in time
        await screen.pilot.press("a")
        if early and asking.display:
            assert not (person.root / "a.txt").exists()
            await asked(screen)
            await screen.pilot.press("a")
        await screen.see("Done.")
        assert (person.root / "a.txt").read_text() == "one\n"


async def test_what_is_told_while_the_screen_is_taken_down_is_no_fault(person: Person) -> None:
    async with screen_of(person) as screen:

        async def follow() -> None:
            while screen.app.is_running or screen.app.children:
                screen.app.call_later(screen.app._follow)
                screen.app._follow()
                await asyncio.sleep(0)

        following = asyncio.create_task(follow())
    await following


async def test_the_conversation_is_paged_through_from_the_prompt(person: Person, server: ScriptedServer) -> None:
    server.script.append(answer("\n\n".join(f"line {number} of it" for number in range(60))))
    async with screen_of(person) as screen:
        await screen.say("tell me")
        await screen.see("line 59 of it")
        await screen.idle()
        await screen.pilot.press("pageup")
        await screen.until(lambda: "line 59 of it" not in screen.text)
        await screen.pilot.press("pagedown")
        await screen.see("line 59 of it")


async def test_who_is_writing_goes_on_writing_when_it_asks(person: Person, server: ScriptedServer) -> None:
    server.script += [answer("", calls=[("write", {"path": "a.txt", "content": "one\n"})]), answer("Done.")]
    async with screen_of(person, mode="ask") as screen:
        await screen.pilot.press(*"and")
        screen.app.on_prompt_sent(Prompt.Sent(Written("write it", typed="write it")))
        await screen.see("May it?", "Tab: here, to decide")
        await screen.heard()
        await screen.pilot.press(*" also a")
        await screen.until(lambda: screen.app.query_one(Prompt).text == "and also a")
        assert not (person.root / "a.txt").exists()
        await screen.pilot.press("tab")
        await screen.see("a allow")
        await screen.pilot.press("A")
        await screen.see("this session", "would have allowed 0 earlier calls")
        await screen.pilot.press("tab")
        await screen.see("this work tree", "would have allowed 0 earlier calls")
        await screen.pilot.press("escape", "a")
        await screen.see("Done.")
        assert (person.root / "a.txt").read_text() == "one\n"


async def test_a_refusal_reaches_the_model_in_the_persons_words(person: Person, server: ScriptedServer) -> None:
    server.script += [answer("", calls=[("write", {"path": "a.txt", "content": "one\n"})]), answer("I see.")]
    async with screen_of(person, mode="ask") as screen:
        await screen.say("write it")
        await asked(screen)
        await screen.pilot.press("r")
        await screen.pilot.press(*"not here", "enter")
        await screen.see("I see.", "⊘ write a.txt")
    assert "They said: not here." in server.requests[-1].decode()
    assert not (person.root / "a.txt").exists()


async def test_words_of_a_refusal_are_no_answer_to_the_question_that_follows(person: Person, server: ScriptedServer) -> None:
    write, ask = ("write", {"path": "a.txt", "content": "one\n"}), ("ask", {"question": "Where then?", "options": []})
    server.script += [answer("", calls=[write]), answer("", calls=[ask]), answer("I see.")]
    async with screen_of(person, mode="ask") as screen:
        await screen.say("write it")
        await asked(screen)
        await screen.pilot.press("r", *"not here", "enter")
        await screen.see("Where then?")
        await screen.heard()
        await screen.pilot.press("enter", *"in b.txt", "enter")
        await screen.see("I see.")
    assert server.bodies()[-1]["messages"][-1]["content"] == "in b.txt"


async def test_hunks_of_several_files_are_chosen_in_one_approval(person: Person, server: ScriptedServer) -> None:
    for name in ("one.py", "two.py"):
        (person.root / name).write_text("x = 1\nadd(1, 2)\n")
    call = ("rewrite", {"pattern": "add(1, $B)", "rewrite": "add(2, $B)", "glob": "*o*.py"})
    server.script += [answer("", calls=[call]), answer("Done.")]
    async with screen_of(person, (100, 50), mode="ask") as screen:
        await screen.say("rewrite them")
        await asked(screen)
        await screen.see("▸☑ @@", "one.py  +1 −1", "two.py  +1 −1")
        await screen.pilot.press("down", "space")
        await screen.see(" ☑ @@", "▸☐ @@")
        await screen.pilot.press("a")
        await screen.see("Done.")
    assert (person.root / "one.py").read_text() == "x = 1\nadd(2, 2)\n"
    assert (person.root / "two.py").read_text() == "x = 1\nadd(1, 2)\n"


def typed(screen: Screen, text: str) -> None:
    """Type quicker than the screen can follow."""
    for character in text:
        key = {"\n": "enter", "\b": "backspace"}.get(character, character)
        screen.app.post_message(events.Key(key, character if key == character else None))


async def test_words_typed_at_once_after_the_key_are_whole(person: Person, server: ScriptedServer) -> None:
    server.script += [answer("", calls=[("write", {"path": "a.txt", "content": "one\n"})]), answer("I see.")]
    async with screen_of(person, mode="ask") as screen:
        await screen.say("write it")
        await asked(screen)
        typed(screen, "rnot herr\be, not now\n")
        await screen.see("I see.", "⊘ write a.txt")
    assert "They said: not here, not now." in server.requests[-1].decode()
    assert not (person.root / "a.txt").exists()


async def test_what_is_typed_and_pasted_at_once_before_a_call_is_changed_is_in_it(person: Person, server: ScriptedServer) -> None:
    server.script += [answer("", calls=[("write", {"path": "a.txt", "content": "one\n"})]), answer("Done.")]
    async with screen_of(person, mode="ask") as screen:
        await screen.say("write it")
        await asked(screen)
        typed(screen, "ezero\n")
        screen.app.post_message(events.Paste("half\nand "))
        await screen.see("zero", "half", "and one")
        await screen.pilot.press("ctrl+s")
        await screen.see("Done.")
    assert (person.root / "a.txt").read_text() == "zero\nhalf\nand one\n"


async def test_several_edits_are_changed_as_text_before_they_are_made(person: Person, server: ScriptedServer) -> None:
    edits = [{"old": "def add", "new": "def plus"}, {"old": "a - b", "new": "a + b"}]
    server.script += [answer("", calls=[("edit", {"path": "calc.py", "edits": edits})]), answer("Done.")]
    async with screen_of(person, mode="ask") as screen:
        await screen.say("mend it")
        await asked(screen)
        await screen.pilot.press("e")
        await screen.see("── edits.1.new", "def plus", "── edits.2.old")
        area = screen.app.query_one("#asking-text", TextArea)
        kept = area.text
        area.text = kept.replace("edits.2.new", "edits.2.old")
        await screen.pilot.press("ctrl+s")
        await screen.see("edits.2.old cannot be read")
        area.text = kept.replace("def plus", "def sum")
        await screen.pilot.press("ctrl+s")
        await screen.see("Done.")
    changed = (person.root / "calc.py").read_text()
    assert "def sum" in changed
    assert "a + b" in changed
