"""Settings come from one file and the environment, and wrong ones are told in one line."""

from pathlib import Path

import pytest

from agent.config import MOONSHOT, Config, Connection, Endpoint, connect, load
from agent.errors import UsageError


def configured(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return load(path)


def test_no_file_is_all_defaults(tmp_path: Path) -> None:
    assert load(tmp_path / "none.toml") == Config()


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("moddel = 'x'", "unknown key 'moddel'; did you mean 'model'?"),
        ("zzz = 1", "unknown key 'zzz'; known are endpoint, model"),
        ("[endpoints.a]\nbase_url='http://x'\nkey='s'", "unknown key 'endpoints.a.key'; did you mean 'key_env'?"),
        ("mode = 'yolo'", "mode: Input should be 'plan', 'ask', 'edits' or 'auto'"),
        ("mode = ", "is no TOML"),
    ],
)
def test_a_wrong_file_is_told_in_one_line(tmp_path: Path, text: str, word: str) -> None:
    with pytest.raises(UsageError) as raised:
        configured(tmp_path, text)
    assert word in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_environment_names_a_server() -> None:
    environment = {"JUMAR_BASE_URL": "http://h:1/v1/", "JUMAR_API_KEY": "k", "JUMAR_MODEL": "m", "MOONSHOT_API_KEY": "other"}
    assert connect(Config(), environment) == Connection("http://h:1/v1", "k", "JUMAR_API_KEY", "m")


def test_a_moonshot_key_goes_to_moonshot_and_nowhere_else() -> None:
    assert connect(Config(), {"KIMI_API_KEY": "k"}) == Connection(MOONSHOT, "k", "KIMI_API_KEY", "")
    assert connect(Config(), {"JUMAR_BASE_URL": "http://h/v1", "MOONSHOT_API_KEY": "k"}).key == ""


def test_a_flag_beats_the_environment_and_the_file() -> None:
    environment = {"JUMAR_BASE_URL": "http://h", "JUMAR_MODEL": "m"}
    assert connect(Config(model="f"), environment, "flag").model == "flag"
    assert connect(Config(model="f"), {"JUMAR_BASE_URL": "http://h"}).model == "f"


def test_the_only_endpoint_of_the_file_is_taken() -> None:
    config = Config(endpoints={"lab": Endpoint(base_url="http://lab/v1", key_env="LAB", model="k2")})
    assert connect(config, {"LAB": "s"}) == Connection("http://lab/v1", "s", "LAB", "k2")
    with pytest.raises(UsageError, match="takes its key from LAB, which is not set"):
        connect(config, {})


@pytest.mark.parametrize(
    ("environment", "word"),
    [
        ({}, "jumar demo"),
        ({"JUMAR_API_KEY": "k"}, "set JUMAR_BASE_URL too"),
    ],
)
def test_no_key_ends_with_77_and_says_what_to_do(environment: dict[str, str], word: str) -> None:
    with pytest.raises(UsageError, match=word) as raised:
        connect(Config(), environment)
    assert raised.value.exit_code == 77


def test_of_several_endpoints_one_must_be_chosen() -> None:
    config = Config(endpoints={"b": Endpoint(base_url="http://b/v1"), "a": Endpoint(base_url="http://a/v1")})
    with pytest.raises(UsageError) as raised:
        connect(config, {})
    assert str(raised.value) == 'config.toml has the endpoints a, b; say which: endpoint = "a"'
    assert raised.value.exit_code == 2
    assert connect(config.model_copy(update={"endpoint": "b"}), {}).base_url == "http://b/v1"


@pytest.mark.parametrize("address", ["http://[bad", "ftp://h", "h:1/v1", "http://", "http://h:99999"])
def test_a_bad_address_is_told_in_one_line(address: str) -> None:
    with pytest.raises(UsageError, match="JUMAR_BASE_URL is no http address"):
        connect(Config(), {"JUMAR_BASE_URL": address})


@pytest.mark.parametrize(("address", "told"), [("localhost:8000/v1", True), ("ftp://h", True), ("http://h:99999", False)])
def test_an_address_without_its_beginning_is_told_how_to_begin(address: str, told: bool) -> None:
    with pytest.raises(UsageError) as raised:
        connect(Config(), {"JUMAR_BASE_URL": address})
    assert str(raised.value).endswith("; begin it with http:// or https://") is told
