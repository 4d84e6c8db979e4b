"""Which host a rule names and a request means, and which addresses may be connected to."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import UsageError
from agent.workspace.hosts import Hosts, is_public, parsed, rule, split
from agent.workspace.registries import REGISTRIES


def allows(rules: str, asked: str) -> bool:
    name, port = split(asked)
    return Hosts(rules.split()).allow(parsed(name), port or 443)


@pytest.mark.parametrize(
    ("rules", "asked"),
    [
        ("docs.python.org", "docs.python.org"),
        ("docs.python.org", "DOCS.Python.ORG"),
        ("docs.python.org", "docs.python.org."),
        ("Docs.Python.Org.", "docs.python.org"),
        ("docs.python.org", "docs.python.org:80"),
        ("docs.python.org:8443", "docs.python.org:8443"),
        ("*.python.org", "docs.python.org"),
        ("*.python.org", "a.b.python.org"),
        (".python.org", "python.org"),
        (".python.org", "docs.python.org"),
        ("*", "anything.example"),
        ("*", "8.8.8.8"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "BÜCHER.example"),
        ("127.0.0.1:8080", "127.1:8080"),
        ("127.0.0.1:8080", "2130706433:8080"),
        ("127.0.0.1:8080", "0x7f.1:8080"),
        ("127.0.0.1:8080", "0177.0.0.1:8080"),
        ("127.0.0.1:8080", "①②⑦.0.0.1:8080"),
        ("127.0.0.1:8080", "[::ffff:127.0.0.1]:8080"),
        ("[::1]:8080", "[0:0:0:0:0:0:0:1]:8080"),
        ("localhost:5432", "LOCALHOST.:5432"),
    ],
)
def test_a_rule_names_a_host_however_it_is_spelled(rules: str, asked: str) -> None:
    assert allows(rules, asked)


@pytest.mark.parametrize(
    ("rules", "asked"),
    [
        ("", "docs.python.org"),
        ("docs.python.org", "docs.python.org.evil.com"),
        ("docs.python.org", "evildocs.python.org"),
        ("docs.python.org", "xdocs.python.org"),
        ("docs.python.org", "python.org"),
        ("docs.python.org", "docs.python.org:22"),
        ("docs.python.org", "docs.python.org:8443"),
        ("docs.python.org:8443", "docs.python.org"),
        ("*.python.org", "python.org"),
        ("*.python.org", "evilpython.org"),
        ("*.python.org", "python.org.evil.com"),
        (".python.org", "evilpython.org"),
        ("*", "anything.example:22"),
        ("localhost:5432", "127.0.0.1:5432"),
        ("localhost:5432", "x.localhost:5432"),
        ("*.example", "127.0.0.1"),
        ("paypal.com", "pаypal.com"),  # with a Cyrillic letter
    ],
)
def test_a_rule_names_no_other_host(rules: str, asked: str) -> None:
    assert not allows(rules, asked)


@pytest.mark.parametrize(
    "asked",
    [
        "docs.python.org@evil.com",
        "evil.com/docs.python.org",
        "evil.com\\docs.python.org",
        "evil.com#docs.python.org",
        "evil.com?docs.python.org",
        "evil.com%2edocs.python.org",
        "evil.com docs.python.org",
        "evil.com\0docs.python.org",
        "evil.com\r\nx",
        "a..b",
        "",
        ".",
        ".python.org",
        "*.python.org",
        "1.2.3.4.5",
        "127.0.0.256",
        "evil.0x7f",
        "faß.de",
        "a\u200db.example",
        "℀.example",
        "x" * 64 + ".example",
        "x." * 130 + "example",
        "[::1",
        "[::1%eth0]:80",
        "[::1]x:80",
        "::1",
        "a:0",
        "a:65536",
        "a:8o",
        "a:٨٠",
        "a:",
    ],
)
def test_what_is_no_host_is_taken_for_none(asked: str) -> None:
    with pytest.raises(ValueError):
        parsed(split(asked)[0])
    if asked[:1] not in {"*", "."} or asked == ".":
        with pytest.raises(UsageError):
            rule(asked)


@pytest.mark.parametrize(
    "text", ["*.127.0.0.1", "*foo.org", "*.*.org", "**", "*.", "http://x.org", "x.org/a", "x.org,y.org", "10.0.0.0/8"]
)
def test_what_is_no_rule_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(UsageError, match="names no host") as caught:
        rule(text)
    assert "\n" not in str(caught.value)


PRIVATE = """
0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.100.100.200 127.0.0.1 127.255.0.1 169.254.169.254 172.16.0.1 172.31.255.255
192.0.0.192 192.0.2.1 192.88.99.1 192.168.0.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1
255.255.255.255 168.63.129.16 :: ::1 ::127.0.0.1 ::169.254.169.254 ::ffff:10.0.0.1 ::ffff:169.254.169.254
::ffff:0:127.0.0.1 64:ff9b::a9fe:a9fe 64:ff9b::7f00:1 64:ff9b:1::1 2002:a9fe:a9fe:: 2002:7f00:1:: 2002:0808:0808::
2001:0:a9fe:a9fe:0:0:f7f7:f7f7 100::1 2001:db8::1 3fff::1 5f00::1 fc00::1 fd00:ec2::254 fe80::1 fec0::1 ff02::1
2606:4700::5efe:10.0.0.1 2606:4700::200:5efe:a9fe:a9fe ::8.8.8.8 ::ffff:0:8.8.8.8
"""
PUBLIC = """
8.8.8.8 1.1.1.1 151.101.0.223 172.32.0.1 2606:4700:4700::1111 2a04:4e42::223 ::ffff:8.8.8.8 64:ff9b::808:808
"""


@pytest.mark.parametrize("text", PRIVATE.split())
def test_an_address_that_is_private_or_hides_one_is_not_connected_to(text: str) -> None:
    assert not is_public(ip_address(text))
    assert not Hosts(["*", "example.org", "localhost:5432"]).admit(ip_address(text), 443)


@pytest.mark.parametrize("text", PUBLIC.split())
def test_a_public_address_is_connected_to(text: str) -> None:
    assert Hosts(["example.org"]).admit(ip_address(text), 443)


def test_a_private_address_is_connected_to_where_a_rule_names_it_at_that_port() -> None:
    allowed = Hosts(["10.1.2.3:8080", "localhost:5432", "db.example:5432", "[fd00::1]:80"])
    admitted = [("10.1.2.3", 8080), ("::ffff:10.1.2.3", 8080), ("127.0.0.1", 5432), ("::1", 5432), ("fd00::1", 80)]
    assert all(allowed.admit(ip_address(text), port) for text, port in admitted)
    kept_off = [("10.1.2.3", 80), ("10.1.2.4", 8080), ("127.0.0.1", 80), ("10.0.0.1", 5432), ("fd00::2", 80)]
    assert not any(allowed.admit(ip_address(text), port) for text, port in kept_off)


@pytest.mark.parametrize("text", ["0.0.0.0", "224.0.0.1", "255.255.255.255"])
def test_what_is_no_place_is_not_connected_to_even_where_a_rule_names_it(text: str) -> None:
    assert not Hosts([text]).admit(ip_address(text), 80)


@given(st.text(st.sampled_from("docs.pythnrg@/:%[]*①-x0127"), max_size=30))
def test_whatever_is_asked_for_only_the_host_itself_is_covered(asked: str) -> None:
    try:
        name, port = split(asked)
        host = parsed(name)
    except ValueError:
        return
    if Hosts(["docs.python.org"]).allow(host, port or 443):
        assert name.lower().removesuffix(".") == "docs.python.org"


def test_what_rules_name_on_the_persons_own_machine_is_known() -> None:
    allowed = Hosts(["localhost:5432", "127.0.0.1:8000", "[::1]:9000", "localhost", "example.org:7000", "10.0.0.1:6000"])
    assert [(str(host), port) for host, port in allowed.local()] == [("localhost", 5432), ("127.0.0.1", 8000), ("::1", 9000)]


def test_a_registry_is_one_host_by_its_own_name_at_the_ports_of_the_web() -> None:
    rules = {rule(host) for named in REGISTRIES.values() for host in named}
    assert all(one.within == "" and one.ports == (80, 443) and isinstance(one.host, str) for one in rules)
    assert Hosts(REGISTRIES["pip"]).allow("files.pythonhosted.org", 443)
    assert not Hosts(REGISTRIES["pip"]).allow("upload.pypi.org", 443)
