"""Files: byte for byte, and never over what somebody else wrote."""

import os
import stat
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.errors import ToolFailure
from agent.workspace.contract import Place
from agent.workspace.local import LocalWorkspace
from agent.workspace.text import decode, encode


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "ws").mkdir()
    return tmp_path / "ws"


def place(root: Path) -> LocalWorkspace:
    return LocalWorkspace(root, root, spill=root.parent / "spill", environment={"HOME": str(root.parent / "home")})


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(max_size=60), st.text(max_size=40).map(lambda text: text.encode("utf-16"))))
def test_any_bytes_that_are_text_come_back_as_they_were(raw: bytes) -> None:
    decoded = decode(raw)
    if decoded is not None:
        assert encode(decoded.text, decoded.encoding, decoded.bom, "x") == raw


@pytest.mark.parametrize(
    ("raw", "encoding", "newline"),
    [
        (b"a\nb\n", "utf-8", "\n"),
        (b"a\r\nb\r\nc\n", "utf-8", "\r\n"),
        (b"\xef\xbb\xbfa\r\n", "utf-8", "\r\n"),
        ("é 打字\n".encode("utf-16"), "utf-16-le", "\n"),
        (b"caf\xe9\n", "latin-1", "\n"),
        (b"", "utf-8", "\n"),
    ],
)
def test_a_change_keeps_encoding_mark_and_line_ends(root: Path, raw: bytes, encoding: str, newline: str) -> None:
    (root / "f").write_bytes(raw)
    workspace = place(root)
    file = workspace.read(workspace.locate("f"))
    assert (file.encoding, file.newline) == (encoding, newline)
    workspace.write(workspace.locate("f"), file.text + "z", file)
    added = "z".encode(encoding)
    assert (root / "f").read_bytes() == raw + added


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0", "a PNG image"),
        (b"\x7fELF\0", "ELF"),
        (b"SQLite format 3\0", "SQLite"),
        (b"x\0y", "binary data"),
    ],
)
def test_what_is_no_text_is_named(root: Path, raw: bytes, word: str) -> None:
    (root / "f").write_bytes(raw)
    with pytest.raises(ToolFailure, match=word):
        place(root).read(place(root).locate("f"))


def test_a_file_that_changed_since_is_not_replaced(root: Path) -> None:
    (root / "f").write_text("one\n")
    workspace = place(root)
    file = workspace.read(workspace.locate("f"))
    status = (root / "f").stat()
    (root / "f").write_text("two\n")
    os.utime(root / "f", ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(ToolFailure, match="changed since"):
        workspace.write(workspace.locate("f"), "three\n", file)
    assert (root / "f").read_text() == "two\n"
    assert [entry.name for entry in root.iterdir()] == ["f"]


def test_a_file_that_appeared_meanwhile_is_not_replaced(root: Path) -> None:
    (root / "f").write_text("theirs")
    with pytest.raises(ToolFailure, match="already exists"):
        place(root).write(place(root).locate("f"), "ours", None)
    assert (root / "f").read_text() == "theirs"
    assert [entry.name for entry in root.iterdir()] == ["f"]


def test_mode_link_and_hard_links_are_kept(root: Path) -> None:
    (root / "run.sh").write_text("a\n")
    (root / "run.sh").chmod(0o750)
    (root / "link").symlink_to("run.sh")
    os.link(root / "run.sh", root / "twin")
    workspace = place(root)
    workspace.write(workspace.locate("link"), "b\n", workspace.read(workspace.locate("link")))
    assert (root / "link").is_symlink()
    assert stat.S_IMODE((root / "run.sh").stat().st_mode) == 0o750
    assert (root / "twin").read_text() == "b\n"
    (root / "twin").unlink()
    workspace.write(workspace.locate("link"), "c\n", workspace.read(workspace.locate("link")))
    assert (root / "link").is_symlink()
    assert (root / "run.sh").read_text() == "c\n"
    assert stat.S_IMODE((root / "run.sh").stat().st_mode) == 0o750


def test_what_is_called_alike_is_named(root: Path) -> None:
    (root / "CHANGES.md").touch()
    with pytest.raises(ToolFailure, match=r"There is no changes\.rst; beside it there is CHANGES\.md\."):
        place(root).read(place(root).locate("changes.rst"))


def test_folders_above_a_new_file_are_made(root: Path) -> None:
    place(root).write(place(root).locate("a/b/c.txt"), "x", None)
    assert (root / "a/b/c.txt").read_text() == "x"


@pytest.mark.parametrize("path", ["fifo", "folder", "missing", "sparse", "/dev/zero", "/proc/self/environ", "f/below"])
def test_what_cannot_be_read_is_refused_at_once(root: Path, path: str) -> None:
    os.mkfifo(root / "fifo")
    (root / "folder").mkdir()
    (root / "f").touch()
    with (root / "sparse").open("wb") as opened:
        opened.truncate(5 << 30)
    with pytest.raises(ToolFailure):
        place(root).read(place(root).locate(path))


def test_no_write_lands_outside_while_a_folder_turns_into_a_link_and_back(root: Path) -> None:
    outside = root.parent / "outside"
    outside.mkdir()
    (root / "real").mkdir()
    stop = threading.Event()

    def flip() -> None:
        while not stop.is_set():
            with suppress(OSError):
                (root / "real").rename(root / "d")
            with suppress(OSError):
                (root / "d").rename(root / "real")
            with suppress(OSError):
                (root / "d").symlink_to(outside)
            with suppress(OSError):
                (root / "d").unlink()

    flipping = threading.Thread(target=flip)
    flipping.start()
    workspace = place(root)
    tried = 0
    try:
        for number in range(500):
            located = workspace.locate(f"d/{number}")
            if located.place is Place.INSIDE:
                tried += 1
                with suppress(ToolFailure):
                    workspace.write(located, "x", None)
    finally:
        stop.set()
        flipping.join()
    assert tried
    assert not list(outside.iterdir())


def test_what_somebody_saves_in_the_last_instant_is_not_lost(root: Path) -> None:
    """A person saves as fast as can be: each save must come to stand there, or what was made of it."""
    (root / "f").write_text("0")
    workspace = place(root)
    stop = threading.Event()
    lost: list[str] = []

    def save() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            if number % 8 == 0:
                stop.wait(0.001)  # or there is no moment in which anything of ours can come to stand there
            (root / "new").write_text(str(number))
            (root / "new").replace(root / "f")
            stands = [(root / "f").read_text()]
            while stands[-1] not in {str(number), f"{number} ours"} and len(stands) < 1000:
                stands.append((root / "f").read_text())
            if len(stands) == 1000:
                lost.append(f"{stands[-1]!r} in place of {number}")

    saving = threading.Thread(target=save)
    saving.start()
    written = 0
    try:
        for _ in range(500):
            with suppress(ToolFailure):
                file = workspace.read(workspace.locate("f"))
                workspace.write(file.path, f"{file.text.split(' ')[0]} ours", file)
                written += 1
    finally:
        stop.set()
        saving.join()
    assert not lost
    assert written
    assert not [entry.name for entry in root.iterdir() if entry.name.endswith(".tmp")]
