"""What is known of a model: by the person, by its server over real HTTP, by the table, and what it costs."""

import asyncio
import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import Connection, ModelTable, PriceTable
from agent.messages import Usage
from agent.model import Capabilities, Price
from agent.providers.catalogue import Catalogue
from agent.providers.families import family_of
from agent.providers.listing import read_listing
from agent.providers.openai import OpenAIModel
from tests.asking import asking
from tests.fakes import Response, ScriptedServer, answer, failure
from tests.runs import Person


def listing(*entries: Mapping[str, Any]) -> Response:
    return failure(200, {"object": "list", "data": list(entries)})


def connected(server: ScriptedServer, model: str, kind: str = "", window: int | None = None) -> Connection:
    return Connection(server.base_url, "sk-key", "JUMAR_API_KEY", model, server=kind, window=window)


async def found(
    models: Response, model: str, pages: Mapping[str, Response] | None = None, kind: str = "", window: int | None = None
) -> Capabilities:
    """Return what a model knows of itself after having asked its server."""
    async with ScriptedServer(models=models, pages=pages) as server:
        asked = OpenAIModel(connected(server, model, kind, window))
        await asked.ready()
        await asked.close()
        return asked.capabilities


VLLM = {"id": "kimi", "object": "model", "owned_by": "vllm", "root": "/models/moonshotai/Kimi-K2.6", "max_model_len": 98304}
LLAMA = {"id": "m.gguf", "owned_by": "llamacpp", "meta": {"n_ctx_train": 262144, "n_params": 1}}
MOONSHOT = {
    "id": "kimi-k9", "owned_by": "moonshot", "context_length": 524288, "supports_image_in": True, "supports_reasoning": True,
}  # fmt: skip
ROUTED = {
    "id": "moonshotai/kimi-k3",
    "canonical_slug": "moonshotai/kimi-k3-20260716",
    "context_length": 1048576,
    "architecture": {"input_modalities": ["text", "image"]},
    "pricing": {"prompt": "0.000003", "completion": "0.000015", "input_cache_read": "0.0000003"},
    "top_provider": {"context_length": 900000},
}
ANTHROPIC = {
    "id": "claude-x", "type": "model", "max_input_tokens": 1000000,
    "capabilities": {"image_input": {"supported": True}, "effort": {"low": {"supported": True}, "max": {"supported": False}}},
}  # fmt: skip


@pytest.mark.parametrize(
    ("entry", "model", "window", "images", "server"),
    [
        (VLLM, "kimi", 98304, True, "vllm"),
        ({**VLLM, "owned_by": "sglang"}, "kimi", 98304, True, "sglang"),
        ({**VLLM, "root": "m"}, "kimi", 98304, False, "vllm"),
        (MOONSHOT, "kimi-k9", 524288, True, ""),
        (ROUTED, "moonshotai/kimi-k3", 1048576, True, ""),
        (ANTHROPIC, "claude-x", 1000000, True, ""),
        ({"id": "m", "top_provider": {"context_length": 9000}}, "m", 9000, False, ""),
        ({"id": "m", "max_model_len": "many", "context_length": True}, "m", 131072, False, ""),
        ({"id": "other", "max_model_len": 5000}, "m", 131072, False, ""),
        ({"id": "M", "max_model_len": 5000}, "m", 5000, False, ""),
        ({"id": "only", "max_model_len": 5000}, "", 5000, False, ""),
    ],
)
async def test_a_server_tells_of_its_models(entry: dict[str, Any], model: str, window: int, images: bool, server: str) -> None:
    known = await found(listing(entry), model)
    assert (known.window, known.images, known.server) == (window, images, server)
    assert known.source == ("assumed; --context says otherwise" if window == 131072 else "the server")


async def test_a_family_is_known_by_the_path_that_a_server_serves_under_another_name() -> None:
    async with ScriptedServer([answer("Hi")], models=listing(VLLM)) as server:
        model = OpenAIModel(connected(server, "kimi"))
        before = model.capabilities
        await model.ready()
        assert (before.efforts, model.capabilities.efforts) == ((), ("on", "off"))
        assert [chunk async for chunk in model.stream(asking())]
        await model.close()
        assert server.bodies()[0]["temperature"] == 1.0
        assert server.bodies()[0]["chat_template_kwargs"] == {"thinking": True, "preserve_thinking": True}


PROPS = {"default_generation_settings": {"n_ctx": 24576}, "modalities": {"vision": True}, "model_path": "/m/Kimi-K2.7.gguf"}
LOADED = {"models": [{"name": "qwen3:8b", "context_length": 40960}]}
STUDIO = {"data": [{"id": "qwen3-vl", "type": "vlm", "loaded_context_length": 16384, "max_context_length": 262144}]}


@pytest.mark.parametrize(
    ("owner", "model", "pages", "window", "images"),
    [
        ("llamacpp", "m", {"/props": PROPS}, 24576, True),
        ("llamacpp", "m", {}, 32768, False),
        ("llamacpp", "m", {"/props": []}, 32768, False),
        ("library", "qwen3:8b", {"/api/ps": LOADED, "/api/show": {"capabilities": ["tools", "vision"]}}, 40960, True),
        ("library", "qwen3:8b", {"/api/ps": {"models": []}, "/api/show": {"parameters": "stop x\nnum_ctx 16000"}}, 16000, False),
        ("library", "qwen3:8b", {"/api/ps": {"models": [7]}, "/api/show": {"parameters": 7}}, 32768, False),
        ("library", "qwen3:8b", {"/api/show": {"parameters": "num_ctx " + "9" * 5000}}, 32768, False),
        ("library", "kimi-k2.6:cloud", {"/api/show": {"model_info": {"kimi-k2.context_length": 262144}}}, 262144, False),
        ("organization_owner", "qwen3-vl", {"/api/v0/models": STUDIO}, 16384, True),
        ("organization_owner", "qwen3-vl", {"/api/v0/models": {"data": "?"}}, 32768, False),
    ],
)
async def test_a_server_at_home_is_asked_what_it_runs_a_model_with(
    owner: str, model: str, pages: dict[str, Any], window: int, images: bool
) -> None:
    entry = {"id": model, "owned_by": owner, "meta": {"n_ctx_train": 262144}}
    known = await found(listing(entry), model, {path: failure(200, page) for path, page in pages.items()})
    assert (known.window, known.images) == (window, images)


async def test_what_is_surer_counts_first() -> None:
    said = {
        "kimi": ModelTable(context=50_000, images=False, efforts=("low",), temperature=0.3),
        "other": ModelTable(context=1024),
    }
    async with ScriptedServer(models=listing(VLLM)) as server:
        for overrides, window, size, source in (
            (said, 9_000, 9_000, "as you said"),
            (said, None, 50_000, "config.toml"),
            ({}, None, 98_304, "the server"),
        ):
            model = OpenAIModel(connected(server, "kimi", window=window), catalogue=Catalogue(overrides))
            await model.ready()
            await model.close()
            known = model.capabilities
            assert (known.window, known.source) == (size, source)
            assert (known.images, known.efforts) == ((False, ("low",)) if overrides else (True, ("on", "off")))
    catalogue = Catalogue()
    table = catalogue.known(Connection("http://127.0.0.1:9/v1", "", "", "Kimi-K2.6")).capabilities
    assert (table.window, table.source, table.images) == (262_144, "the table of models: Kimi K2.6", True)
    nothing = catalogue.known(Connection("http://127.0.0.1:9/v1", "", "", "m")).capabilities
    assert (nothing.window, nothing.source, nothing.images, nothing.price) == (
        131_072, "assumed; --context says otherwise", False, None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "model", "asked"),
    [
        ("moonshot-intl", "kimi-k2.6", 0),
        ("kimi-code", "k3", 0),
        ("moonshot-intl", "kimi-k9", 1),
        ("openrouter", "moonshotai/kimi-k2.6", 1),
        ("vllm", "Kimi-K2.6", 1),
    ],
)
async def test_a_server_is_asked_once_and_only_where_it_can_say_more(kind: str, model: str, asked: int) -> None:
    async with ScriptedServer([answer("Hi")] * 4) as server:
        catalogue = Catalogue()
        for _ in range(2):
            one = OpenAIModel(connected(server, model, kind), catalogue=catalogue)
            for _ in range(2):
                await one.ready()
                assert [chunk async for chunk in one.stream(asking())]
            await one.close()
        assert [head[":path"] for head in server.heads].count("/v1/models") == asked


@pytest.mark.parametrize(
    "said", [failure(500), failure(401), failure(200, "no JSON"), failure(200, "[1, {}, null]"), Response((), cut=True)]
)
async def test_a_server_that_says_nothing_of_use_is_no_fault_and_is_not_asked_again(said: Response) -> None:
    async with ScriptedServer([answer("Hi")], models=said) as server:
        catalogue = Catalogue()
        for _ in range(2):
            model = OpenAIModel(connected(server, "m"), catalogue=catalogue)
            await model.ready()
            await model.close()
            assert model.capabilities.window == 131_072
        assert [head[":path"] for head in server.heads] == ["/v1/models"]


async def test_a_server_that_says_nothing_at_all_is_not_waited_for() -> None:
    async with ScriptedServer(models=Response((b" ",), hold=asyncio.Event())) as server:
        model = OpenAIModel(connected(server, "m"), catalogue=Catalogue(seconds=0.05))
        await asyncio.wait_for(model.ready(), 5)
        await model.close()
        assert model.capabilities.window == 131_072


async def test_a_list_that_was_asked_for_is_not_asked_for_again() -> None:
    async with ScriptedServer(models=listing({"id": "m", "context_length": 70_000})) as server:
        model = OpenAIModel(connected(server, "m"), catalogue=(catalogue := Catalogue()))
        assert await model.list_models() == ["m"]
        await model.close()
        model = OpenAIModel(connected(server, "m"), catalogue=catalogue)
        assert model.capabilities.window == 70_000
        await model.ready()
        await model.close()
        assert len(server.heads) == 1


async def window_with(server: ScriptedServer, cache: Path, model: str = "m") -> int:
    asked = OpenAIModel(connected(server, model), catalogue=Catalogue(cache=cache))
    await asked.ready()
    await asked.close()
    return asked.capabilities.window


async def test_what_a_server_lists_is_kept_for_a_day(tmp_path: Path) -> None:
    cache = tmp_path / "state" / "models.json"
    full = {**ROUTED, "id": "m"}
    async with ScriptedServer(models=listing(full, {"id": "n", "context_length": 60_000})) as server, ScriptedServer() as other:
        assert await window_with(server, cache) == 1_048_576
        assert await window_with(other, cache) == 131_072
        assert stat.S_IMODE(cache.stat().st_mode) == 0o600
        assert [path.name for path in cache.parent.iterdir()] == ["models.json"]
        assert "127.0.0.1" not in cache.read_text()
        assert (await window_with(server, cache), await window_with(server, cache, "n")) == (1_048_576, 60_000)
        assert len(server.heads) == 1
        assert await window_with(server, cache, "new") == 131_072  # a model that came since
        assert len(server.heads) == 2
        kept = json.loads(cache.read_text())
        for shift in (-25 * 3600, 3600):
            shifted = {key: {**one, "at": one["at"] + shift} for key, one in kept["servers"].items()}
            cache.write_text(json.dumps({**kept, "servers": shifted}))
            before = len(server.heads)
            assert await window_with(server, cache) == 1_048_576
            assert len(server.heads) == before + 1


BROKEN = [
    *("", "{", "[]", '{"v": 2, "servers": {}}', '{"v": 1}', "[" * 50_000),
    '{"v": 1, "servers": {"KEY": {"at": NOW}}}',
    '{"v": 1, "servers": {"KEY": {"at": NOW, "server": 1, "models": [{"id": 3}]}}}',
    '{"v": 1, "servers": {"KEY": {"at": NOW, "server": "", "models": [ENTRY]}}}',
]


@pytest.mark.parametrize("broken", BROKEN, ids=range(len(BROKEN)))
async def test_a_cache_that_is_broken_is_as_none(tmp_path: Path, broken: str) -> None:
    cache = tmp_path / "models.json"
    async with ScriptedServer(models=listing({"id": "m", "context_length": 60_000})) as server:
        await window_with(server, cache)
        kept = json.loads(cache.read_text())
        [key] = kept["servers"]
        entry = json.dumps({**kept["servers"][key]["models"][0], "window": -5})
        cache.write_text(broken.replace("KEY", key).replace("NOW", str(kept["servers"][key]["at"])).replace("ENTRY", entry))
        assert await window_with(server, cache) == 60_000
        assert len(server.heads) == 2
        assert json.loads(cache.read_text())["servers"].keys() == {key}


async def test_a_cache_that_cannot_be_written_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    async with ScriptedServer(models=listing({"id": "m", "context_length": 60_000})) as server:
        assert await window_with(server, tmp_path / "file" / "models.json") == 60_000


async def test_what_runs_at_home_is_not_kept_since_its_next_start_may_be_another(tmp_path: Path) -> None:
    async with ScriptedServer(models=listing({"id": "m", "owned_by": "vllm", "max_model_len": 60_000})) as server:
        assert await window_with(server, tmp_path / "models.json") == 60_000
    assert list(tmp_path.iterdir()) == []


def price(base_url: str, model: str, catalogue: Catalogue | None = None) -> Price | None:
    return (catalogue or Catalogue()).known(Connection(base_url, "", "", model, server="moonshot-intl")).capabilities.price


INTL = "https://api.moonshot.ai/v1"


def test_a_price_is_of_a_host_and_a_family() -> None:
    assert price(INTL, "kimi-k2.6") == Price(0.16, 0.95, 4.00)
    assert price("https://api.moonshot.ai/anthropic", "kimi-k2.6") == Price(0.16, 0.95, 4.00)
    assert price(INTL, "kimi-k2.7-code") == Price(0.19, 0.95, 4.00)
    assert price(INTL, "kimi-k2.7-code-highspeed") == Price(0.38, 1.90, 8.00)
    assert price(INTL, "kimi-k3") == Price(0.30, 3.00, 15.00, 3.00)
    elsewhere = (
        "https://api.moonshot.cn/v1",
        "https://api.kimi.com/coding/v1",
        "http://127.0.0.1:8000/v1",
        "https://relay.example/v1",
    )
    assert [price(base_url, "kimi-k2.6") for base_url in elsewhere] == [None] * 4
    assert price(INTL, "kimi-k2.5") is None
    assert price(INTL, "kimi-k9") is None


def test_a_price_that_the_person_says_counts_everywhere() -> None:
    own = Catalogue({"K2\\.6$": ModelTable(price=PriceTable(hit=0.1, miss=1, output=2))})
    assert price("https://relay.example/v1", "moonshotai/kimi-k2.6", own) == Price(0.1, 1, 2)
    assert price("https://relay.example/v1", "kimi-k2.6-x", own) is None


def test_openrouters_prices_are_those_of_its_list() -> None:
    listed = read_listing({"data": [ROUTED, {"id": "free", "pricing": {"prompt": "0", "completion": "0"}},
        {"id": "auto", "pricing": {"prompt": "-1", "completion": "-1"}}, {"id": "odd", "pricing": {"prompt": "x"}}]})  # fmt: skip
    assert listed is not None
    catalogue = Catalogue()
    for base_url in ("https://openrouter.ai/api/v1", "https://relay.example/v1"):
        catalogue.remember(base_url, listed)
    of = {
        model: price("https://openrouter.ai/api/v1", model, catalogue) for model in ("moonshotai/kimi-k3", "free", "auto", "odd")
    }
    assert of == {"moonshotai/kimi-k3": Price(0.3, 3.0, 15.0), "free": Price(0, 0, 0), "auto": None, "odd": None}
    assert price("https://relay.example/v1", "moonshotai/kimi-k3", catalogue) is None


def test_what_a_request_costs_is_reckoned_from_what_it_used() -> None:
    known = price(INTL, "kimi-k3")
    assert known is not None
    assert known.of(Usage(prompt=1_000_000, completion=100_000, cached=600_000, written=100_000)) == pytest.approx(
        0.6 * 0.30 + 0.3 * 3.00 + 0.1 * 3.00 + 0.1 * 15.00
    )


async def test_a_run_says_what_it_cost_and_that_it_does_not_know(person: Person, server: ScriptedServer) -> None:
    server.script.extend([answer("Hi")] * 3)
    price = '[overrides."^dear"]\nprice = { hit = 1.0, miss = 100.0, output = 1000.0 }\n'
    person.settle(f'{price}[endpoints.lab]\nbase_url = "{server.base_url}"\n')
    known = await person.trusted("-p", "hello", "-m", "lab:dear-model")
    assert ("cost unknown" in known.err, "· $0.0060 ·" in known.err) == (False, True)
    unknown = await person.trusted("-p", "hello", "-m", "lab:kimi-k2.6")
    assert ("cost unknown" in unknown.err, "$" in unknown.err) == (True, False)
    assert (await person.trusted("-p", "hello", "-m", "lab:kimi-k2.6", "--output-format", "json")).result["cost"] is None


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("kimi-k2.6", "Kimi K2.6"),
        ("moonshotai/Kimi-K2.6", "Kimi K2.6"),
        ("kimi-k2.6:cloud", "Kimi K2.6"),
        ("accounts/fireworks/models/kimi-k2p6", "Kimi K2.6"),
        ("kimi-k2.5", "Kimi K2.5"),
        ("kimi-k2.7-code", "Kimi K2.7"),
        ("kimi-k2.7-code-highspeed", "Kimi K2.7 Highspeed"),
        ("/models/Kimi-K2-Thinking", "Kimi K2 Thinking"),
        ("kimi-k2-thinking-turbo", "Kimi K2 Thinking"),
        ("Kimi-K2-Instruct-0905", "Kimi K2 0905"),
        ("kimi-k2", "Kimi K2"),
        ("Kimi_K2_Instruct", "Kimi K2"),
        ("kimi-k3", "Kimi K3"),
        ("kimi-k3[1m]", "Kimi K3"),
        ("k3", "Kimi K3"),
        ("k3-256k", "Kimi K3, 256k"),
        ("kimi-k3.1-pro", "Kimi K3.1"),
        ("kimi-k3.1-pro-highspeed", "Kimi K3.1 Pro Highspeed"),
        ("kimi-for-coding", "Kimi for Coding"),
        ("kimi-k4", ""),
        ("kimi-k20", ""),
        ("LLM360/K2-Think", ""),
        ("gpt-oss:20b", "gpt-oss"),
        ("openai/gpt-5-mini", "GPT-5"),
        ("gpt-5.2-codex", "GPT-5.1 and later"),
        ("scripted", ""),
        ("", ""),
    ],
)
def test_a_name_is_of_its_family(model: str, family: str) -> None:
    assert family_of(model).name == family


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda below: st.lists(below, max_size=3)
    | st.dictionaries(
        st.sampled_from(["data", "models", "id", "owned_by", "root", "meta", "max_model_len", "pricing", "prompt", "completion",
                         "input_modalities", "architecture", "capabilities", "effort", "low", "vision"]), below, max_size=5),
    max_leaves=20,
)  # fmt: skip


@given(JSON)
def test_a_list_in_any_shape_is_read(value: Any) -> None:
    listed = read_listing(value)
    entry = read_listing({"data": [{"id": "m", "pricing": value, "architecture": value, "meta": value, "capabilities": value}]})
    assert entry is not None
    for one in (*entry.models, *(listed.models if listed else ())):
        assert one.id
        assert one.window is None or one.window > 0
