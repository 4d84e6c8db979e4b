"""Settings come from one file, and wrong ones are told in one line."""

from pathlib import Path
from typing import get_args

import pytest

from agent.config import Config, Connection, Effort, load
from agent.errors import UsageError
from jumar.arguments import EFFORTS


def configured(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return load(path)


def test_no_file_is_all_defaults(tmp_path: Path) -> None:
    assert load(tmp_path / "none.toml") == Config()


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("moddel = 'x'", "unknown key 'moddel'; did you mean 'model'"),
        ("zzz = 1", "unknown key 'zzz'; known are endpoint, model"),
        ("[endpoints.a]\nbase_url='http://x'\nkey='s'", "unknown key 'endpoints.a.key'; did you mean 'key_env'?"),
        ("[overrides.a]\ncontexts=1", "unknown key 'overrides.a.contexts'; did you mean 'context'?"),
        ("[overrides.a]\nprice={hits=1}", "'overrides.a.price.hits'; did you mean 'hit'?"),
        ("mode = 'yolo'", "mode: it should be 'plan', 'ask', 'edits' or 'auto'"),
        ("mode = ", "is no TOML"),
        (f"mode = {'[' * 20_000}", "is no TOML"),
        ("models = 'a'", "models: it is a list"),
        ("models = [1]", "models.0: it is a text in quotes"),
        ("endpoints = 3", "endpoints: it is a table"),
        ("[overrides.a]\nprice = 3", "overrides.a.price: it is a table"),
        ("effort = 'hard'", "effort: it should be 'on'"),
        ("model = 'a'\nmodels = ['b']", "say model or models, not both"),
        ("[models.'k2']\ncontext = 1", 'models: it is a list of names; what is known of a model stands in [overrides."REGEX"]'),
        ("[overrides.'(']\nimages = true", "overrides: '(' is no regular expression"),
        ("[overrides.a]\ncontext = 12", "overrides.a.context: it should be greater than or equal to 1024"),
        ("[overrides.a]\nprice = {hit=-1, miss=1, output=1}", "overrides.a.price.hit: it should be greater"),
        ("[overrides.a]\nprice = {hit=nan, miss=1, output=1}", "overrides.a.price.hit: it is a number"),
        ("[overrides.a]\nprice = {hit=true, miss=1, output=1}", "overrides.a.price.hit: it is a number"),
        ("[overrides.a]\nprice = {}", "overrides.a.price.hit: it is missing"),
        ("map_tokens = true", "map_tokens: it is a whole number"),
        ("map_tokens = '5'", "map_tokens: it is a whole number"),
        ("remind = 'no'", "remind: it is true or false"),
        ("[endpoint.a]\nbase_url = 'http://h'", "endpoint: it is the name of one; what is known of it stands in"),
        ("[endpoints.a]\nmodel = 'x'", "endpoints: 'a' has no base_url"),
        ("[endpoints.local]\nbase_url = 'http://h'", "endpoints: 'local' means a model file"),
        ("[endpoints.'a:b']\nbase_url = 'http://h'", "endpoints: 'a:b' is no name of an endpoint"),
        ("[endpoints.a]\nserver = 'vlm'", "endpoints.a.server: 'vlm' is no built-in endpoint; jumar endpoints lists them"),
        ("[endpoints.a]\nbase_url = 'http://h'\nkey_command = ['']", "endpoints.a.key_command: it is a list of words"),
        ("[endpoints.a]\nbase_url = 'http://h'\nheaders = {Authorization = 'x'}", "Authorization is made from the key"),
        ("[endpoints.a]\nbase_url = 'http://h'\nheaders = {'a b' = 'x'}", "'a b' cannot be sent as a header"),
        ("[endpoints.a]\nbase_url = 'http://h'\nheaders = {a = \"x\\ny\"}", "'a' cannot be sent as a header"),
        ("[endpoints.a]\nbase_url = 'http://h'\nkey_env = 'HOME'", "it names the variable that holds the key"),
    ],
)
def test_a_wrong_file_is_told_in_one_line(tmp_path: Path, text: str, word: str) -> None:
    with pytest.raises(UsageError) as raised:
        configured(tmp_path, text)
    assert word in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_key_that_stands_in_the_file_is_not_repeated(tmp_path: Path) -> None:
    for line in ("key_env = 'sk-secret-secret'", "api_key = 'sk-secret-secret'", "headers = {x-api-key = 'sk-secret-secret'}"):
        with pytest.raises(UsageError) as raised:
            configured(tmp_path, f"[endpoints.a]\nbase_url = 'http://h'\n{line}")
        assert "secret-secret" not in str(raised.value)


def test_the_command_line_takes_the_same_words_of_effort() -> None:
    assert get_args(Effort) == EFFORTS


def test_the_words_for_a_connection_do_not_hold_its_key() -> None:
    assert "sk-secret" not in repr(Connection("http://h", "sk-secret", "A", "m"))


def test_a_mark_of_byte_order_before_the_file_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b'\xef\xbb\xbfmode = "ask"\r\n')
    assert load(tmp_path / "config.toml").mode == "ask"
