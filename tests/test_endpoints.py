"""Where requests go: what is named, then the environment, then the settings; and no key goes to another host than its own."""

from collections.abc import Mapping

import pytest

from agent.config import Config, Connection, EndpointTable
from agent.endpoints import BUILT_IN, built_in, is_open_line, normal, protocol_at, server_at, shown
from agent.errors import UsageError
from agent.keys import in_environment
from agent.route import LocalRoute, Route, key_variables, known, routes, split

INTL = "https://api.moonshot.ai/v1"
CN = "https://api.moonshot.cn/v1"


def chosen(config: Config, environment: Mapping[str, str], *named: str) -> list[Connection]:
    """Return the connections, with the keys that variables hold."""
    found = []
    for route in routes(config, environment, named):
        assert isinstance(route, Route)
        found.append(route.connection(route.found or in_environment(route.endpoint, environment)))
    return found


def told(config: Config, environment: Mapping[str, str], *named: str) -> tuple[str, str, str]:
    """Return where the first goes, with which key, and which model."""
    first = chosen(config, environment, *named)[0]
    return first.base_url, first.key, first.model


def fault(config: Config, environment: Mapping[str, str], *named: str) -> UsageError:
    with pytest.raises(UsageError) as raised:
        routes(config, environment, named)
    assert "\n" not in str(raised.value)
    return raised.value


def test_the_built_in_ones_are_all_there_and_every_one_can_be_named() -> None:
    names = "moonshot-intl moonshot-cn kimi-code openrouter anthropic openai vllm sglang llama.cpp ollama lm-studio"
    assert {endpoint.name for endpoint in BUILT_IN} == set(names.split())
    for endpoint in BUILT_IN:
        assert normal(endpoint.base_url, "it", endpoint.protocol) == endpoint.base_url
        assert endpoint.keyless is endpoint.base_url.startswith("http://127.0.0.1:")
        assert endpoint.keyless or endpoint.variable
        [connection] = chosen(Config(), {}, f"{endpoint.name}:m")
        assert (connection.base_url, connection.model, connection.server) == (endpoint.base_url, "m", endpoint.name)


def test_the_environment_names_a_server() -> None:
    environment = {"JUMAR_BASE_URL": "http://h:1/v1/", "JUMAR_API_KEY": "k\n", "JUMAR_MODEL": "m", "MOONSHOT_API_KEY": "other"}
    assert chosen(Config(), environment) == [Connection("http://h:1/v1", "k", "JUMAR_API_KEY", "m")]
    assert chosen(Config(), {"JUMAR_BASE_URL": "https://api.moonshot.ai/v1"})[0].server == "moonshot-intl"


def test_a_moonshot_key_goes_to_moonshot_and_nowhere_else() -> None:
    assert chosen(Config(), {"KIMI_API_KEY": "k"}) == [Connection(INTL, "k", "KIMI_API_KEY", "", server="moonshot-intl")]
    assert chosen(Config(), {"JUMAR_BASE_URL": "http://h/v1", "MOONSHOT_API_KEY": "k"})[0].key == ""
    assert told(Config(), {"MOONSHOT_API_KEY": "k", "MOONSHOT_BASE_URL": CN}, "kimi-k3") == (CN, "k", "kimi-k3")
    assert told(Config(), {"MOONSHOT_API_KEY": "k", "MOONSHOT_API_BASE": CN + "/"})[:2] == (CN, "k")
    assert told(Config(), {"MOONSHOT_API_KEY": "k", "KIMI_BASE_URL": "http://evil/v1"})[:2] == (INTL, "k")


@pytest.mark.parametrize(
    ("environment", "named", "base_url", "key"),
    [
        ({"MOONSHOT_API_KEY": "k"}, "moonshot-cn:m", CN, "k"),
        ({"MOONSHOT_API_KEY": "k", "MOONSHOT_BASE_URL": INTL}, "moonshot-cn:m", CN, ""),
        ({"MOONSHOT_API_KEY": "k", "MOONSHOT_BASE_URL": CN}, "moonshot-cn:m", CN, "k"),
        ({"MOONSHOT_API_KEY": "k", "MOONSHOT_BASE_URL": "http://proxy/v1"}, "moonshot-intl:m", INTL, ""),
        ({"MOONSHOT_CN_API_KEY": "c", "MOONSHOT_API_KEY": "k"}, "moonshot-cn:m", CN, "c"),
        ({"ANTHROPIC_API_KEY": "k"}, "anthropic:m", "https://api.anthropic.com", "k"),
        ({"ANTHROPIC_AUTH_TOKEN": "k", "ANTHROPIC_BASE_URL": f"{INTL}/x"}, "anthropic:m", "https://api.anthropic.com", ""),
        ({"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}, "openai:m", "https://api.openai.com/v1", ""),
        ({"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "no address["}, "openai:m", "https://api.openai.com/v1", ""),
        ({"OPENAI_API_KEY": "k"}, "openrouter:m", "https://openrouter.ai/api/v1", ""),
        ({"JUMAR_API_KEY": "k", "JUMAR_BASE_URL": "http://h"}, "ollama:m", "http://127.0.0.1:11434/v1", ""),
    ],
)
def test_a_key_only_goes_to_the_host_that_its_own_layer_names(
    environment: dict[str, str], named: str, base_url: str, key: str
) -> None:
    assert told(Config(), environment, named) == (base_url, key, "m")


@pytest.mark.parametrize(
    ("environment", "base_url", "protocol", "server", "source"),
    [
        ({"ANTHROPIC_API_KEY": "k"}, "https://api.anthropic.com", "anthropic", "anthropic", "ANTHROPIC_API_KEY"),
        (
            {"ANTHROPIC_API_KEY": "b", "ANTHROPIC_AUTH_TOKEN": "a", "ANTHROPIC_BASE_URL": "https://api.moonshot.ai/anthropic/"},
            "https://api.moonshot.ai/anthropic",
            "anthropic",
            "moonshot-intl",
            "ANTHROPIC_AUTH_TOKEN",
        ),
        (
            {"ANTHROPIC_AUTH_TOKEN": "a", "ANTHROPIC_BASE_URL": "https://api.kimi.com/coding/v1"},
            "https://api.kimi.com/coding",
            "anthropic",
            "kimi-code",
            "ANTHROPIC_AUTH_TOKEN",
        ),
        ({"OPENROUTER_API_KEY": "k"}, "https://openrouter.ai/api/v1", "openai", "openrouter", "OPENROUTER_API_KEY"),
        ({"OPENAI_API_KEY": "k", "OPENAI_API_BASE": "http://h/v1"}, "http://h/v1", "openai", "", "OPENAI_API_KEY"),
        (
            {"KIMI_API_KEY": "k", "KIMI_BASE_URL": "https://api.kimi.com/coding/v1", "KIMI_MODEL_NAME": "m"},
            "https://api.kimi.com/coding/v1",
            "openai",
            "kimi-code",
            "KIMI_API_KEY",
        ),
    ],
)
def test_the_variables_of_others_are_understood(
    environment: dict[str, str], base_url: str, protocol: str, server: str, source: str
) -> None:
    [connection] = chosen(Config(), environment)
    assert (connection.base_url, connection.protocol) == (base_url, protocol)
    assert (connection.server, connection.key_source) == (server, source)
    assert connection.model == environment.get("KIMI_MODEL_NAME", "")


def test_of_the_variables_of_others_moonshots_come_first_and_all_come_after_the_file() -> None:
    every = {variable.name: variable.name for endpoint in BUILT_IN for variable in endpoint.variables}
    assert told(Config(), every)[1] == "MOONSHOT_API_KEY"
    del every["MOONSHOT_API_KEY"], every["KIMI_API_KEY"], every["MOONSHOT_CN_API_KEY"], every["KIMI_CODE_API_KEY"]
    assert told(Config(), every)[1] == "ANTHROPIC_AUTH_TOKEN"
    lab = {"lab": EndpointTable(base_url="http://lab/v1", key_env="LAB")}
    assert told(Config(endpoints=lab), {"MOONSHOT_API_KEY": "k", "LAB": "s"})[:2] == ("http://lab/v1", "s")
    assert told(Config(endpoint="ollama"), {"MOONSHOT_API_KEY": "k"})[:2] == ("http://127.0.0.1:11434/v1", "")


def test_what_is_typed_beats_the_environment_and_that_the_file() -> None:
    environment = {"JUMAR_BASE_URL": "http://h", "JUMAR_MODEL": "m"}
    assert told(Config(model="f"), environment, "typed")[2] == "typed"
    assert told(Config(model="f"), environment)[2] == "m"
    assert told(Config(model="f"), {"JUMAR_BASE_URL": "http://h"})[2] == "f"
    assert told(Config(model="f", endpoint="vllm"), {"JUMAR_BASE_URL": "http://h"}, "vllm:typed")[0] == "http://127.0.0.1:8000/v1"
    assert told(Config(endpoint="ollama"), {"JUMAR_MODEL": "vllm:m"}) == ("http://127.0.0.1:8000/v1", "", "m")


def test_who_names_a_server_for_a_run_does_not_send_to_the_files_servers() -> None:
    config = Config(models=("moonshot-intl:a", "b", "openrouter:c"))
    environment = {"JUMAR_BASE_URL": "http://h/v1", "MOONSHOT_API_KEY": "k", "OPENROUTER_API_KEY": "k"}
    assert [(one.base_url, one.model) for one in chosen(config, environment)] == [("http://h/v1", "b")]
    # A name beside the address is that server's own, colons and all.
    assert told(config, {**environment, "JUMAR_MODEL": "openai:gpt"}) == ("http://h/v1", "", "openai:gpt")


def test_a_model_is_split_from_its_endpoint_only_where_that_is_one() -> None:
    names = known(Config())
    assert split("openrouter:moonshotai/kimi-k2.6:free", names) == ("openrouter", "moonshotai/kimi-k2.6:free")
    assert split("ollama:kimi-k2.6:cloud", names) == ("ollama", "kimi-k2.6:cloud")
    assert split("kimi-k2.6:cloud", names) == ("", "kimi-k2.6:cloud")
    assert split("ollama", names) == ("ollama", "")
    assert split("local:/a/b:c.gguf", names) == ("local", "/a/b:c.gguf")
    assert split("local", names) == ("", "local")
    lab = Config(endpoints={"lab": EndpointTable(base_url="http://lab/v1", model="own")})
    assert told(lab, {}, "lab") == told(lab, {}, "lab:") == ("http://lab/v1", "", "own")


def test_a_file_of_a_model_is_no_server() -> None:
    assert routes(Config(), {}, ("local:/m.gguf",)) == (LocalRoute("/m.gguf"),)
    assert "say which file" in str(fault(Config(), {}, "local:"))


def test_a_list_goes_on_where_the_first_fails_and_names_nobody_twice() -> None:
    config = Config(models=("moonshot-intl:a", "openrouter:b", "c", "moonshot-intl:a"))
    found = [(one.server, one.model) for one in chosen(config, {"MOONSHOT_API_KEY": "k"})]
    assert found == [("moonshot-intl", "a"), ("openrouter", "b"), ("moonshot-intl", "c")]
    assert [one.model for one in chosen(config, {"MOONSHOT_API_KEY": "k"}, "x", "vllm:y")] == ["x", "y"]


def test_the_only_endpoint_of_the_file_is_taken() -> None:
    config = Config(endpoints={"lab": EndpointTable(base_url="http://lab/v1", key_env="LAB", model="k2", context=4096)})
    assert chosen(config, {"LAB": "s"}) == [Connection("http://lab/v1", "s", "LAB", "k2", window=4096)]
    assert chosen(config, {"LAB": "s"}, "other")[0].model == "other"
    # The file's model is for where nothing nearer says one.
    assert chosen(config.model_copy(update={"model": "f"}), {"LAB": "s"})[0].model == "k2"
    assert told(Config(model="f"), {"KIMI_API_KEY": "k", "KIMI_MODEL_NAME": "m"})[2] == "m"
    assert told(Config(model="f"), {"KIMI_API_KEY": "k"})[2] == "f"
    assert told(Config(model="vllm:f"), {"JUMAR_BASE_URL": "http://h"})[2] == ""


def test_of_several_endpoints_one_must_be_chosen() -> None:
    own = {"b": EndpointTable(base_url="http://b/v1"), "a": EndpointTable(base_url="http://a/v1")}
    raised = fault(Config(endpoints=own), {})
    assert str(raised) == 'config.toml has the endpoints a, b; say which: endpoint = "a"'
    assert raised.exit_code == 2
    assert told(Config(endpoints=own, endpoint="b"), {})[0] == "http://b/v1"
    assert str(fault(Config(endpoint="olama"), {})) == "there is no endpoint 'olama'; did you mean 'ollama'?"


def test_a_model_without_a_server_is_named_where_none_is_set_up() -> None:
    assert str(fault(Config(), {})).startswith("no model is set up: export ")
    raised = fault(Config(), {}, "nosuch:x\x1b[2J")
    assert str(raised).startswith("no server is set up to ask for nosuch:x\u241b[2J: export ")
    assert raised.exit_code == 77


def test_a_stored_key_chooses_where_nothing_else_does() -> None:
    [route] = routes(Config(), {}, (), lambda: {"kimi-code"})
    assert isinstance(route, Route)
    assert route.endpoint.name == "kimi-code"
    asked: list[str] = []

    def stored() -> set[str]:
        asked.append("")
        return set()

    routes(Config(), {"OPENAI_API_KEY": "k"}, (), stored)
    routes(Config(), {}, ("vllm:m",), stored)
    assert not asked


@pytest.mark.parametrize(
    ("environment", "word"),
    [
        ({}, "export MOONSHOT_API_KEY=…, or run jumar login ENDPOINT"),
        ({}, "JUMAR_BASE_URL"),
        ({}, "jumar demo"),
        ({"JUMAR_API_KEY": "k"}, "set JUMAR_BASE_URL too"),
    ],
)
def test_no_key_ends_with_77_and_says_what_to_do(environment: dict[str, str], word: str) -> None:
    raised = fault(Config(), environment)
    assert word in str(raised)
    assert raised.exit_code == 77


@pytest.mark.parametrize(
    ("table", "base_url", "protocol", "server"),
    [
        (EndpointTable(base_url="http://h/x/anthropic"), "http://h/x/anthropic", "anthropic", ""),
        (EndpointTable(base_url="http://h/x/anthropic/v1/"), "http://h/x/anthropic", "anthropic", ""),
        (EndpointTable(base_url="http://h/v1/messages"), "http://h", "anthropic", ""),
        (EndpointTable(base_url="http://h/v1/chat/completions/"), "http://h/v1", "openai", ""),
        (EndpointTable(base_url="http://h/anthropic", protocol="openai"), "http://h/anthropic", "openai", ""),
        (EndpointTable(base_url="http://h/v1", protocol="anthropic"), "http://h", "anthropic", ""),
        (EndpointTable(base_url="http://h/v1", server="vllm"), "http://h/v1", "openai", "vllm"),
        (EndpointTable(server="sglang"), "http://127.0.0.1:30000/v1", "openai", "sglang"),
        (EndpointTable(base_url="http://localhost:11434/v1"), "http://localhost:11434/v1", "openai", "ollama"),
        (
            EndpointTable(server="moonshot-intl", protocol="anthropic"),
            "https://api.moonshot.ai/anthropic",
            "anthropic",
            "moonshot-intl",
        ),
        (EndpointTable(server="openrouter", protocol="anthropic"), "https://openrouter.ai/api", "anthropic", "openrouter"),
        (EndpointTable(base_url="HTTPS://api.anthropic.com/v1/"), "https://api.anthropic.com", "anthropic", "anthropic"),
    ],
)
def test_what_is_not_said_of_an_own_endpoint_is_told_from_its_address(
    table: EndpointTable, base_url: str, protocol: str, server: str
) -> None:
    [connection] = chosen(Config(endpoints={"lab": table}), {})
    assert (connection.base_url, connection.protocol, connection.server) == (base_url, protocol, server)


def test_an_own_endpoint_overrides_the_built_in_one_and_keeps_its_keys_only_on_its_host() -> None:
    moved = Config(endpoints={"openai": EndpointTable(base_url="http://elsewhere/v1")})
    assert told(moved, {"OPENAI_API_KEY": "k"}, "openai:m") == ("http://elsewhere/v1", "", "m")
    more = Config(endpoints={"openai": EndpointTable(headers={"x-team": "a"}, key_env="MINE")})
    [connection] = chosen(more, {"OPENAI_API_KEY": "k"}, "openai:m")
    assert (connection.key, connection.headers, connection.server) == ("k", {"x-team": "a"}, "openai")
    assert chosen(more, {"OPENAI_API_KEY": "k", "MINE": "mine"}, "openai:m")[0].key == "mine"


def test_kimi_codes_terms_are_known_wherever_its_host_is_used() -> None:
    kimi = built_in("kimi-code")
    assert kimi is not None
    for client in ("Kimi Code CLI", "Claude Code", "Roo Code"):
        assert client in kimi.terms
    mine = known(Config(endpoints={"x": EndpointTable(base_url="https://api.kimi.com/coding/", protocol="anthropic")}))["x"]
    assert mine.terms == kimi.terms
    [route] = routes(Config(), {"ANTHROPIC_AUTH_TOKEN": "a", "ANTHROPIC_BASE_URL": "https://api.kimi.com/coding/"})
    assert isinstance(route, Route)
    assert route.endpoint.terms == kimi.terms


@pytest.mark.parametrize("address", ["http://[bad", "ftp://h", "h:1/v1", "http://", "http://h:99999", "http://a b", "http://h\n"])
def test_a_bad_address_is_told_in_one_line(address: str) -> None:
    assert "JUMAR_BASE_URL is no http address" in str(fault(Config(), {"JUMAR_BASE_URL": address}))


def test_a_key_in_the_place_of_an_address_is_not_repeated() -> None:
    for address in ("sk-secret-secret", "ftp://me:secret-secret@h"):
        assert "secret-secret" not in str(fault(Config(), {"JUMAR_BASE_URL": address}))
    assert "without ? or #" in str(fault(Config(), {"JUMAR_BASE_URL": "http://h/v1?key=secret-secret"}))
    assert shown("http://me:secret@h:1/v1") == "http://h:1/v1"


@pytest.mark.parametrize(("address", "hinted"), [("localhost:8000/v1", True), ("ftp://h", True), ("http://h:99999", False)])
def test_an_address_without_its_beginning_is_told_how_to_begin(address: str, hinted: bool) -> None:
    raised = fault(Config(), {"JUMAR_BASE_URL": address})
    assert str(raised).endswith("; begin it with http:// or https://") is hinted


def test_an_address_tells_what_it_is() -> None:
    assert protocol_at("https://api.moonshot.ai/anthropic/v1") == "anthropic"
    assert protocol_at("https://api.moonshot.ai/v1") == "openai"
    assert server_at("https://api.kimi.ai/coding/v1") == "kimi-code"
    assert server_at("http://127.0.0.1:8000/v1") == ""
    assert server_at("http://[::1]:1234/v1") == "lm-studio"
    opened = [is_open_line(address) for address in ("http://lab:8000/v1", "https://lab/v1", "http://localhost:1/v1")]
    assert opened == [True, False, False]


def test_every_variable_that_may_hold_a_key_is_known() -> None:
    config = Config(endpoints={"lab": EndpointTable(base_url="http://lab/v1", key_env="LC_LAB")})
    assert {"LC_LAB", "JUMAR_API_KEY", "MOONSHOT_API_KEY", "ANTHROPIC_AUTH_TOKEN"} <= key_variables(config)
