"""Pictures: which bytes are one, what is shown of them, and who may see them."""

import base64
import io
import json
import os
import re
import signal
import struct
import zlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pixels
from PIL import TiffImagePlugin, WebPImagePlugin
from pydantic import TypeAdapter, ValidationError

from agent.blocks import Image, TextBlock
from agent.developing import developed
from agent.errors import ToolFailure, UsageError
from agent.events.call import ToolFinished
from agent.events.event import Event
from agent.log import Log
from agent.messages import Answer, Call, Prompt, Reply, Usage
from agent.model import Capabilities, Chunk, Finished, Request
from agent.pictures import Picture, Unshowable, form, given, picture
from agent.policy import Mode
from agent.rules import Decision, Rule
from agent.session import Listener, Session
from agent.setting import Setting
from agent.tool import Context, Result
from agent.workspace.local import LocalWorkspace
from jumar.headless import SIGNAL_CODES, Headless
from jumar.inputs import PromptMessage
from jumar.options import RunOptions
from jumar.wiring import find_tools
from tests.fakes import ScriptedServer, answer
from tests.runs import Person, valid
from tools.read import Read, ReadArguments

FORMS = ("PNG", "JPEG", "WebP", "GIF", "BMP", "TIFF")
assert {TiffImagePlugin, WebPImagePlugin}  # their kinds can be written


def drawn(form: str = "PNG", size: tuple[int, int] = (60, 40), **more: object) -> bytes:
    """Return a picture, its left half red and its right half blue."""
    pixels = Pixels.new("RGB", size, "red")
    pixels.paste("blue", (size[0] // 2, 0, size[0], size[1]))
    return saved(pixels, form, **more)


def saved(pixels: Pixels.Image, form: str, **more: object) -> bytes:
    written = io.BytesIO()
    pixels.save(written, form, **more)
    return written.getvalue()


def seen(image: Image | None) -> Pixels.Image:
    """Return the pixels that a model is shown."""
    assert image is not None
    opened = Pixels.open(io.BytesIO(base64.b64decode(image.content)))
    assert opened.get_format_mimetype() == image.media_type
    opened.load()
    return opened


def colours(pixels: Pixels.Image) -> tuple[str, str]:
    """Return what the left and the right half of a picture are, roughly."""
    rgb = pixels.convert("RGB")
    points = (rgb.getpixel((rgb.width // 4, rgb.height // 2)), rgb.getpixel((rgb.width * 3 // 4, rgb.height // 2)))
    names = [("red", "green", "blue")[point.index(max(point))] if isinstance(point, tuple) else "" for point in points]
    return names[0], names[1]


def made_of(raw: bytes) -> Picture:
    """Return what the program that unpacks pictures makes of one."""
    kind = form(raw)
    assert kind is not None
    return developed(raw, kind, shown=True)


def refused(raw: bytes) -> str:
    """Return why a picture is not shown, or hold that what is shown is one."""
    if form(raw) is None:
        return "is none"
    try:
        made = made_of(raw)
    except Unshowable as fault:
        return str(fault)
    seen(made.image)
    return ""


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


class Bench:
    """The tool that reads, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "ws"
        self.root.mkdir()
        self.workspace = LocalWorkspace(self.root, self.root, spill=folder / "spill", environment={"HOME": str(folder / "home")})

    async def read(self, path: str, *, pictures: bool = True) -> Result:
        async def nobody(question: str, choices: tuple[str, ...]) -> str:
            raise AssertionError(question)

        context = Context(self.workspace, lambda text: None, nobody, pictures=pictures)
        return await Read().run(ReadArguments(path=path), context)

    def put(self, name: str, raw: bytes) -> None:
        (self.root / name).write_bytes(raw)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.parametrize("form", FORMS)
async def test_a_picture_is_known_by_its_bytes_and_shown_as_what_every_server_takes(bench: Bench, form: str) -> None:
    bench.put("notes.txt", raw := drawn(form))
    result = await bench.read("notes.txt")
    words = f"{form} picture, 60×40, {len(raw)} bytes" if len(raw) < 1000 else f"{form} picture, 60×40, {len(raw) / 1000:.0f} kB"
    assert result.text == f"{words}; shown to you"
    assert result.blocks == (TextBlock(words),)
    [image] = result.images
    assert image.media_type == ("image/jpeg" if form == "JPEG" else "image/png")
    assert (seen(image).size, colours(seen(image))) == ((60, 40), ("red", "blue"))


def test_a_picture_is_turned_upright_and_loses_what_its_camera_wrote() -> None:
    exif = Pixels.Exif()
    exif[0x0112] = 6  # held upright: to be turned by a quarter
    exif[0x010F] = "Secret Camera"
    made = made_of(drawn("JPEG", exif=exif, comment=b"secret place", icc_profile=b"secret profile"))
    assert (made.width, made.height) == (40, 60)
    shown = seen(made.image)
    assert (shown.size, colours(shown.rotate(90, expand=True))) == ((40, 60), ("red", "blue"))
    assert made.image is not None
    assert b"ecret" not in base64.b64decode(made.image.content)
    assert shown.getexif() == {}
    png = made_of(drawn("PNG", pnginfo=_remark(), icc_profile=b"secret profile"))
    assert set(seen(png.image).info) == set()


def _remark() -> object:
    from PIL.PngImagePlugin import PngInfo

    remark = PngInfo()
    remark.add_text("Comment", "secret")
    return remark


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WebP"])
def test_a_large_picture_is_made_smaller_until_it_may_be_sent(form: str) -> None:
    made = made_of(saved(Pixels.effect_noise((2100, 1050), 90).convert("RGB"), form))
    assert made.image is not None
    assert len(made.image.content) <= 1_000_000
    shown = seen(made.image)
    assert max(shown.size) <= 2000
    assert shown.width == pytest.approx(2 * shown.height, abs=1)
    assert made.shown == shown.size
    assert made.remarks == f", reduced to {shown.width}×{shown.height}"


def test_a_thin_picture_keeps_a_pixel() -> None:
    assert made_of(drawn(size=(9000, 1))).shown == (2000, 1)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGBA", "I;16", "I", "F", "CMYK", "LAB"])
def test_pixels_of_every_kind_are_shown(mode: str) -> None:
    form = "PNG" if mode in {"LA", "P", "RGBA"} else "TIFF"
    made = made_of(saved(Pixels.new(mode, (8, 8)), form))
    assert seen(made.image).mode in {"L", "RGB", "RGBA"}


def test_what_is_clear_stays_clear() -> None:
    assert seen(made_of(saved(Pixels.new("RGBA", (4, 4), (9, 9, 9, 0)), "PNG")).image).getpixel((0, 0)) == (
        9,
        9,
        9,
        0,
    )
    assert seen(made_of(saved(Pixels.new("RGBA", (4, 4), (9, 9, 9, 255)), "PNG")).image).mode == "RGB"


def test_of_a_moving_picture_the_first_frame_is_shown() -> None:
    raw = drawn("GIF", save_all=True, append_images=[Pixels.new("RGB", (60, 40), "green")])
    made = made_of(raw)
    assert made.remarks == ", its first frame only"
    assert colours(seen(made.image)) == ("red", "blue")


@pytest.mark.parametrize("size", [(10_000, 10_000), (2**31 - 1, 2**31 - 1), (2**31 - 1, 1)])
def test_a_picture_of_too_many_pixels_is_refused_before_it_is_unpacked(size: tuple[int, int]) -> None:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 6, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 40_000_000)) + chunk(b"IEND", b"")
    with pytest.raises(Unshowable, match=r"PNG picture of \d+×\d+, more than 50 million pixels"):
        picture(bomb, shown=True)


@pytest.mark.filterwarnings("ignore")  # as the program of its own does
@pytest.mark.parametrize("form", FORMS)
def test_a_picture_that_is_cut_anywhere_is_shown_or_refused_in_one_line(form: str) -> None:
    raw = saved(Pixels.effect_noise((24, 16), 90).convert("RGB"), form)
    for end in range(len(raw)):
        if fault := refused(raw[:end]):
            assert "\n" not in fault


def test_nothing_that_a_broken_picture_is_told_of_reaches_the_screen(capfd: pytest.CaptureFixture[str]) -> None:
    raw = bytearray(saved(Pixels.effect_noise((24, 16), 90), "TIFF", compression="tiff_lzw"))
    raw[8:80] = bytes(72)
    with pytest.raises(Unshowable, match=r"^is a broken TIFF picture of \d+ bytes: cut off, or no such picture inside$"):
        picture(bytes(raw), shown=True)
    assert capfd.readouterr() == ("", "")


def test_a_picture_takes_no_more_memory_than_it_may() -> None:
    canvas = bytearray(drawn("WebP", save_all=True, append_images=[Pixels.new("RGB", (60, 40))]))
    place = canvas.index(b"VP8X") + 12
    canvas[place : place + 6] = (16382).to_bytes(3, "little") * 2  # the decoder takes two such canvases before it says how large
    with pytest.raises(Unshowable, match="WebP picture"):
        picture(bytes(canvas), shown=False)


def test_what_is_inside_decides_and_not_how_it_begins() -> None:
    with pytest.raises(Unshowable, match="is a broken PNG picture of 52 bytes"):
        picture(b"\x89PNG\r\n\x1a\n\0 no picture, but some bytes of another kind", shown=False)
    with pytest.raises(Unshowable, match="is empty"):
        picture(b"", shown=True)
    with pytest.raises(Unshowable, match="more than 32 MB"):
        picture(drawn() + b"\0" * (32 << 20), shown=True)
    with pytest.raises(Unshowable, match="is no picture that can be shown: that is PNG, JPEG, WebP, GIF, BMP or TIFF"):
        picture(b"%PDF-1.7", shown=True)


def test_a_picture_may_come_as_base64_or_as_a_data_uri() -> None:
    content = base64.b64encode(drawn()).decode()
    assert given(content) == given(f"data:image/gif;base64,{content}") == drawn()
    for wrong in ("no base64!", "data:image/png;base64,%%", "é"):
        with pytest.raises(Unshowable, match="is no base64"):
            given(wrong)


async def test_a_model_that_cannot_see_is_told_what_the_picture_is(bench: Bench) -> None:
    bench.put("shot.png", drawn(size=(1280, 720)))
    with pytest.raises(
        ToolFailure, match=r"^shot\.png is a PNG picture, 1280×720, \d kB, and this model cannot be shown pictures\."
    ):
        await bench.read("shot.png", pictures=False)


@pytest.mark.parametrize(
    ("name", "raw", "words"),
    [
        ("cut.png", drawn()[:60], r"cut\.png is a broken PNG picture of 60 bytes: cut off, or no such picture inside\."),
        ("doc.png", b"%PDF-1.7\0\xff", r"doc\.png is no text: a PDF document"),
        ("sound.webp", b"RIFF\0\0\0\0WAVEfmt \xff\xff", "is no text: a RIFF file"),
        (
            "wide.bmp",
            b"BM" + struct.pack("<IIIIiiHHIIIIII", 70, 0, 54, 40, 90_000, 90_000, 1, 24, 0, 0, 0, 0, 0, 0),
            "million pixels",
        ),
    ],
)
@pytest.mark.parametrize("pictures", [True, False])
async def test_what_is_no_picture_inside_is_told_as_what_it_is(
    bench: Bench, name: str, raw: bytes, words: str, pictures: bool
) -> None:
    bench.put(name, raw)
    with pytest.raises(ToolFailure, match=words):
        await bench.read(name, pictures=pictures)


async def test_text_is_text_whatever_it_is_called_and_begins_with(bench: Bench) -> None:
    bench.put("drawing.svg", b'<svg xmlns="http://www.w3.org/2000/svg"/>\n')
    bench.put("cars.bmp", b"BMW builds cars.\n")
    bench.put("format.gif", b"GIF89a is a format.\n")
    bench.put("empty.png", b"")
    assert "<svg" in (await bench.read("drawing.svg")).text
    assert "BMW" in (await bench.read("cars.bmp")).text
    assert "GIF89a" in (await bench.read("format.gif")).text
    assert (await bench.read("empty.png")).text == "[empty file]"


async def test_a_picture_is_opened_by_the_rules_of_every_file(bench: Bench) -> None:
    home = bench.root.parent / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "id.png").write_bytes(drawn())
    for path in (str(home / ".ssh" / "id.png"), "gone.png"):
        with pytest.raises(ToolFailure, match=r"hidden|There is no"):
            await bench.read(path)
    os.mkfifo(bench.root / "pipe.png")
    with pytest.raises(ToolFailure, match="a pipe or a device"):
        await bench.read("pipe.png")
    # A link that is put in place after the path was judged leads nowhere.
    bench.put("shot.png", drawn())
    located = bench.workspace.locate("shot.png")
    (bench.root / "shot.png").unlink()
    (bench.root / "shot.png").symlink_to(home / ".ssh" / "id.png")
    with pytest.raises(ToolFailure, match="through a link"):
        await bench.workspace.look(located, pictures=True)


async def test_several_pictures_are_made_ready_at_once_and_a_large_file_of_one_is_read_whole(bench: Bench) -> None:
    bench.put("large.bmp", drawn("BMP", size=(2600, 2600)))  # 20 MB, more than is read of a text
    made = await bench.workspace.look(bench.workspace.locate("large.bmp"), pictures=True)
    assert isinstance(made, Picture)
    assert made.shown == (2000, 2000)
    bench.put("more.bmp", b"BM" + b"\0" * (33 << 20))
    with pytest.raises(ToolFailure, match="34603010 bytes, more than"):
        await bench.read("more.bmp")


class Looking:
    """A model that reads a file, then says so."""

    name = "looking"

    def __init__(self, path: str, *, images: bool) -> None:
        self.capabilities = Capabilities(images=images)
        self.asked: list[Request] = []
        self._path = path

    async def ready(self) -> None:
        """It is."""

    async def count(self, request: Request) -> int | None:
        return None

    async def stream(self, request: Request) -> AsyncIterator[Chunk]:
        self.asked.append(request)
        call = Call("c", "read", f'{{"path": "{self._path}"}}')
        first = Answer("", (call,)), "calls"
        answer, _ = first if len(self.asked) == 1 else (Answer("done"), "stop")
        yield Finished(answer, "calls" if answer.calls else "stop", Usage(1, 1), self.name)

    async def close(self) -> None:
        """Nothing is held."""


def opened(folder: Path, model: Looking, listen: Listener, rules: tuple[Rule, ...] = ()) -> Session:
    """Open a session with all tools in `ws` of the folder."""
    root = folder / "ws"
    setting = Setting(
        models=(model,),
        workspace=LocalWorkspace(root, root, spill=folder / "spill", environment={}),
        tools=find_tools(),
        system="system",
        preface="",
        version="0",
        mode=Mode.ASK,
        rules=rules,
    )
    return Session(setting, Log.create(folder / "sessions", "s"), listen)


@pytest.mark.parametrize("images", [True, False])
@pytest.mark.parametrize("denied", [True, False])
async def test_a_reply_has_the_picture_where_the_model_sees_and_may(tmp_path: Path, images: bool, denied: bool) -> None:
    root = tmp_path / "ws"
    root.mkdir()
    (root / "shot.png").write_bytes(drawn())
    model, events = Looking("shot.png", images=images), list[Event]()
    rules = (Rule.read("read(shot.png)", Decision.DENY, "test"),) if denied else ()
    session = opened(tmp_path, model, lambda event, line: events.append(event), rules)
    assert (await session.turn("look")).status == "done"
    await session.close()
    [finished] = [event for event in events if isinstance(event, ToolFinished)]
    assert finished.status == ("denied" if denied else "done" if images else "failed")
    assert len(finished.images) == (images and not denied)
    [reply] = [message for message in model.asked[1].messages if isinstance(message, Reply)]
    assert reply.images == finished.images
    log, found = Log.open(tmp_path / "sessions" / "s.jsonl")
    log.close()
    assert finished in found.events


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Hear signals again that a run in this very process has had enough of: what is started later would not hear them either."""
    before = {number: signal.getsignal(number) for number in SIGNAL_CODES}
    yield
    for number, what in before.items():
        signal.signal(number, what)


def headless(person: Person, model: Looking, *images: Path, **more: Any) -> tuple[Headless, io.StringIO]:
    out = io.StringIO()
    options = RunOptions(("what is this?",), person.root, images=images, trust=True, **more)
    return Headless(options, person.environment, out, io.StringIO()), out


async def test_pictures_of_the_command_line_go_with_the_prompt(person: Person) -> None:
    for name in ("one.png", "two.gif"):
        (person.home / name).write_bytes(drawn("GIF" if name.endswith("gif") else "PNG"))
    model = Looking("calc.py", images=True)
    front_end, out = headless(person, model, person.home / "one.png", person.home / "two.gif")
    assert await front_end.run(model) == 0
    [said] = [message for message in model.asked[0].messages if isinstance(message, Prompt)]
    assert said.text.endswith("what is this?")
    assert [colours(seen(image)) for image in said.images] == [("red", "blue")] * 2
    assert out.getvalue() == "done\n"
    again = Looking("calc.py", images=True)  # a session that goes on still holds them
    front_end, _ = headless(person, again, resume="-")
    assert await front_end.run(again) == 0
    assert again.asked[0].messages[0] == said


async def test_a_model_that_cannot_see_is_not_asked(person: Person, server: ScriptedServer) -> None:
    (person.root / "shot.png").write_bytes(drawn())
    ended = await person.trusted("-p", "what is this?", "--image", "shot.png")
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert "test-model cannot be shown pictures" in ended.err
    assert "images = true" in ended.err
    assert not server.requests
    assert not person.logs


@pytest.mark.parametrize(
    ("name", "raw", "words"),
    [
        ("gone.png", None, "cannot be read: No such file"),
        ("folder.png", "folder", "cannot be read: Is a directory"),
        ("pipe.png", "pipe", "is no file with a picture"),
        ("empty.png", b"", "is empty"),
        ("cut.png", drawn()[:50], "is a broken PNG picture of 50 bytes"),
        ("drawing.svg", b"<svg/>", "it is SVG, which is text"),
        ("notes.png", b"words", "is no picture that can be shown: that is PNG, JPEG"),
    ],
)
async def test_what_is_no_picture_is_told_in_one_line(person: Person, name: str, raw: bytes | str | None, words: str) -> None:
    path = person.home / name
    if raw == "folder":
        path.mkdir()
    elif raw == "pipe":
        os.mkfifo(path)
    elif isinstance(raw, bytes):
        path.write_bytes(raw)
    model = Looking("calc.py", images=True)
    front_end, _ = headless(person, model, path)
    with pytest.raises(UsageError, match=words) as error:
        await front_end.run(model)
    assert "\n" not in str(error.value)
    assert not model.asked


async def test_no_more_pictures_than_a_model_takes_go_with_a_prompt(person: Person) -> None:
    model = Looking("calc.py", images=True)
    front_end, _ = headless(person, model, *[person.root / "calc.py"] * 21)
    with pytest.raises(UsageError, match="21 pictures are too many: 20 may go with one prompt"):
        await front_end.run(model)


def test_a_message_holds_pictures_as_files_or_base64(tmp_path: Path) -> None:
    (tmp_path / "shot.gif").write_bytes(drawn("GIF"))
    adapter = TypeAdapter(PromptMessage)
    content = base64.b64encode(drawn()).decode()
    images = [{"path": str(tmp_path / "shot.gif")}, {"base64": content}, {"base64": f"data:image/png;base64,{content}"}]
    message = adapter.validate_json(json.dumps({"type": "prompt", "text": "look", "images": images}))
    assert [colours(seen(image)) for image in message.images] == [("red", "blue")] * 3
    for wrong, words in (
        ({"base64": "%"}, "what came as base64 is no base64"),
        ({"base64": base64.b64encode(b"words").decode()}, "is no picture that can be shown"),
        ({"path": str(tmp_path / "gone.png")}, "cannot be read: No such file"),
        ({"path": "a\0b"}, "cannot be read"),
        ({"path": "a", "base64": "b"}, "a picture is "),
        ({}, "a picture is "),
        ("shot.png", "a picture is "),
        (None, "a picture is "),
    ):
        with pytest.raises(ValidationError, match=words):
            adapter.validate_json(json.dumps({"type": "prompt", "text": "look", "images": [wrong]}))
    assert adapter.json_schema()["properties"]["images"]["maxItems"] == 20


async def test_a_program_hears_that_the_model_cannot_see_and_goes_on(person: Person, server: ScriptedServer) -> None:
    server.script.append(answer("done"))
    (person.root / "shot.png").write_bytes(drawn())
    lines = (
        {"type": "prompt", "text": "look", "images": [{"path": "shot.png"}]},
        {"type": "prompt", "text": "look", "images": [{"path": "gone.png"}]},
        {"type": "prompt", "text": "just answer"},
    )
    stdin = "".join(f"{json.dumps(line)}\n" for line in lines)
    ended = await person.trusted("--input-format", "stream-json", "--output-format", "stream-json", stdin=stdin)
    valid(ended.lines)
    warned = [line["text"] for line in ended.lines if line["type"] == "warned"]
    assert "cannot be shown pictures" in warned[0]
    assert warned[1].startswith("line 2 of stdin is no message and was passed over: images.0: the picture gone.png")
    assert [line["prompt"] for line in ended.lines if line["type"] == "turn.started"] == ["just answer"]
    assert (ended.code, len(server.requests)) == (0, 1)


async def test_what_is_said_meanwhile_may_hold_a_picture(tmp_path: Path) -> None:
    root = tmp_path / "ws"
    root.mkdir()
    (root / "shot.png").write_bytes(drawn())
    image = picture(drawn(), shown=True).image
    assert image is not None
    model = Looking("shot.png", images=True)
    steered: list[bool] = []

    def listen(event: Event, line: bytes) -> None:
        if isinstance(event, ToolFinished):
            steered.append(session.steer("and this", (image,)))

    session = opened(tmp_path, model, listen)
    assert (await session.turn("look")).status == "done"
    await session.close()
    assert steered == [True]
    assert model.asked[1].messages[-1] == Prompt("and this", (image,))


async def test_a_model_that_the_person_says_can_see_is_shown_pictures_over_the_wire(
    person: Person, server: ScriptedServer
) -> None:
    (person.root / "shot.png").write_bytes(drawn())
    person.configure("[overrides.'test-.*']\nimages = true\n")
    server.script.extend([answer("", calls=[("read", {"path": "shot.png"})]), answer("done")])
    ended = await person.trusted("-p", "what is this?", "--image", "shot.png")
    assert (ended.code, ended.out) == (0, "done\n")
    assert "PNG picture, 60×40" in ended.err
    whole = json.dumps(server.bodies()[1]["messages"])
    contents = re.findall(r'"data:image/png;base64,([^"]+)"', whole)
    assert [colours(seen(Image("image/png", content))) for content in contents] == [("red", "blue")] * 2
