"""Which models are asked, from what a person wrote to what their servers hear."""

import json

from tests.fakes import ScriptedServer, answer, anthropic, failure
from tests.runs import Person

KEY = "sk-of-the-spare-one"


def settings(server: ScriptedServer, spare: ScriptedServer, *lines: str) -> str:
    """Return settings with two endpoints."""
    return "\n".join(
        [
            *lines,
            "[endpoints.lab]",
            f'base_url = "{server.base_url}"',
            "[endpoints.spare]",
            f'base_url = "{spare.base_url}"',
            'key_env = "SPARE"',
        ]
    )


async def test_a_further_model_goes_on_where_the_first_fails_for_good(person: Person, server: ScriptedServer) -> None:
    async with ScriptedServer([answer("the spare one says hello")]) as spare:
        server.script.append(failure(403, {"error": {"message": "no"}}))
        person.settle(settings(server, spare, 'models = ["lab:first", "spare:second"]'))
        run = await person.trusted("-p", "x", "--output-format", "json", environment={"SPARE": KEY})
        assert (run.code, run.result["text"]) == (0, "the spare one says hello")
        assert [body["model"] for body in (*server.bodies(), *spare.bodies())] == ["first", "second"]
        assert spare.heads[-1]["authorization"] == f"Bearer {KEY}"
        assert "authorization" not in server.heads[-1]
        types = [json.loads(line)["type"] for line in person.logs[-1].read_text().splitlines()]
        assert "model.switched" in types


async def test_what_is_typed_takes_the_place_of_the_files_list(person: Person, server: ScriptedServer) -> None:
    async with ScriptedServer() as spare:
        person.settle(settings(server, spare, 'models = ["spare:second", "lab:first"]'))
        server.script.extend([failure(403, {"error": {"message": "no"}}), answer("hello")])
        run = await person.trusted("-p", "x", "-m", "lab:a:b", "-m", "lab:c", environment={"SPARE": KEY})
        assert run.code == 0
        assert [body["model"] for body in server.bodies()] == ["a:b", "c"]
        assert not spare.heads


async def test_a_further_model_that_cannot_be_had_is_left_out_aloud(person: Person, server: ScriptedServer) -> None:
    async with ScriptedServer(models=failure(500, "down")) as spare:
        person.settle(settings(server, spare, 'models = ["lab:first", "spare:second", "spare"]'))
        server.script.extend([answer("hello"), answer("hello")])
        run = await person.trusted("-p", "x")
        assert (run.code, run.out) == (0, "hello\n")
        assert (
            "spare:second is left out of the models: the endpoint 'spare' takes its key from SPARE, which is not set" in run.err
        )
        run = await person.trusted("-p", "x", environment={"SPARE": KEY})
        assert run.code == 0
        assert "a further model is left out: " in run.err
        first = await person.trusted("-p", "x", "-m", "spare:second")
        assert (first.code, first.err.count("\n")) == (77, 1)


async def test_an_address_that_ends_in_anthropic_just_works(person: Person, server: ScriptedServer) -> None:
    address = server.base_url.replace("/v1", "/anthropic/v1/")
    server.script.extend([anthropic("hello"), anthropic("hello")])
    environment = {"JUMAR_BASE_URL": address, "JUMAR_MODEL": "m"}
    assert (await person.trusted("-p", "x", environment=environment)).out == "hello\n"
    person.settle(f'model = "lab:m"\n[endpoints.lab]\nbase_url = "{address}"\n')
    assert (await person.trusted("-p", "x")).out == "hello\n"
    asked = [head[":path"] for head in server.heads if "content-length" in head and not head[":path"].endswith("count_tokens")]
    assert asked == ["/anthropic/v1/messages"] * 2


async def test_what_a_person_knows_better_of_a_model_counts(person: Person, server: ScriptedServer) -> None:
    lines = [
        '[overrides."^odd-"]',
        "price = { hit = 1.0, miss = 2.0, output = 100.0 }",
        'efforts = ["low", "max"]',
        "top_p = 0.5",
    ]
    person.settle("\n".join([f'[endpoints.lab]\nbase_url = "{server.base_url}"', *lines]))
    server.script.append(answer("hello"))
    run = await person.trusted("-p", "x", "-m", "odd-one", "--effort", "max", "--output-format", "json")
    assert run.result["cost"] == (10 * 2.0 + 5 * 100.0) / 1e6
    [body] = server.bodies()
    assert (body["top_p"], body["reasoning_effort"]) == (0.5, "max")
    server.script.append(answer("hello"))
    other = await person.trusted("-p", "x", "-m", "other", "--output-format", "json")
    assert other.result["cost"] is None
    assert "top_p" not in server.bodies()[-1]
