"""Owns hosts: how rules name them, which one a request means however it is spelled, and which addresses lead nowhere private."""

import socket
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from string import ascii_lowercase, digits

from agent.errors import UsageError

Address = IPv4Address | IPv6Address
Host = str | Address  # a name in lower-case ASCII without a dot at its end, or an address that hides no other

WEB = (80, 443)  # the ports of a rule that names none
_FREE = 1024  # the first port that needs no rights
_LONGEST_NAME, _LONGEST_LABEL = 253, 63
_LABEL = frozenset(ascii_lowercase + digits + "-_")
_AMBIGUOUS = frozenset("ßς\u200c\u200d")  # the two editions of the standard make different names of these

# Beside what `is_global` knows, which differs from one Python to the next.
_NEVER_4 = (
    *(IPv4Network((first << 24, 8)) for first in (0, 10, 127)),
    *(IPv4Network(f"{text}/16") for text in ("169.254.0.0", "192.168.0.0")),
    *(IPv4Network(f"{text}/24") for text in ("192.0.0.0", "192.0.2.0", "192.88.99.0", "198.51.100.0", "203.0.113.0")),
    *(IPv4Network(text) for text in ("100.64.0.0/10", "172.16.0.0/12", "198.18.0.0/15", "224.0.0.0/3")),
    IPv4Network("168.63.129.16/32"),  # Azure's way to its host
)
_UNICAST_6 = IPv6Network("2000::/3")
_NEVER_6 = tuple(IPv6Network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"))
_NAT64 = IPv6Network("64:ff9b::/96")
_CARRIES_4 = (_NAT64, *(IPv6Network(text) for text in ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96")))
_NOWHERE = (ip_network("0.0.0.0/32"), ip_network("::/128"), ip_network("224.0.0.0/3"), ip_network("ff00::/8"))


@dataclass(frozen=True, slots=True)
class Rule:
    """A host that may be reached, at `ports`. `within` is "*" for all below `host`, "." for `host` too; all is below ""."""

    host: Host
    ports: tuple[int, ...] = WEB
    within: str = ""

    def covers(self, host: Host, port: int) -> bool:
        """Whether it names the host, which is as `parsed` returns it."""
        if port not in self.ports:
            return False
        if not self.within:
            return host == self.host
        if not self.host:
            return True
        return isinstance(host, str) and (host.endswith(f".{self.host}") or (self.within == "." and host == self.host))


class Hosts:
    """The hosts that a command may reach: none where there is no rule."""

    def __init__(self, rules: Iterable[str]) -> None:
        """Read the rules. Raises UsageError."""
        self._rules = tuple(rule(text) for text in rules)

    def allow(self, host: Host, port: int) -> bool:
        """Whether a rule names the host."""
        return any(one.covers(host, port) for one in self._rules)

    def admit(self, address: Address, port: int) -> bool:
        """Whether a name that is allowed may lead to the address: a public one, or one that a rule names itself."""
        plain = unwrapped(address)
        if any(plain in network for network in _NOWHERE if network.version == plain.version):
            return False
        names = {plain, "localhost"} if plain.is_loopback else {plain}
        return is_public(address) or any(one.host in names and port in one.ports for one in self._rules)

    def local(self) -> tuple[tuple[Host, int], ...]:
        """Return what rules name on the person's own machine, at ports that anybody may listen on."""
        named = [
            one for one in self._rules if one.host == "localhost" or (isinstance(one.host, Address) and one.host.is_loopback)
        ]
        # Two that have the same port cannot both be had there.
        local = {port: one.host for one in named if not one.within for port in one.ports if port >= _FREE}
        return tuple((host, port) for port, host in local.items())


def rule(text: str) -> Rule:
    """Read `host`, `*.host` (all below it) or `.host` (it and all below it), each with `:port` where that is neither 80 nor 443.

    `*` is every host. Raises UsageError.
    """
    try:
        return _rule(text.strip())
    except ValueError as error:
        raise UsageError(f"{text[:300]!r} names no host: {error}") from None


def split(text: str) -> tuple[str, int | None]:
    """Split what stands before the path of a URL into host and port. Raises ValueError."""
    if text.startswith("["):
        host, bracket, rest = text.partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError("a bracket is not closed")
        host, port = f"{host}]", rest[1:] if rest else None
    elif text.count(":") > 1:
        raise ValueError("an address of IPv6 stands in brackets")
    else:
        host, colon, after = text.partition(":")
        port = after if colon else None
    if port is None:
        return host, None
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 1 << 16):
        raise ValueError("its port is no number from 1 to 65535")
    return host, int(port)


def parsed(text: str) -> Host:
    """Return which host a text means: what a resolver would take for an address is one. Raises ValueError."""
    if text.startswith("["):
        if "%" in text or not text.endswith("]"):
            raise ValueError("it is no address of IPv6")
        return unwrapped(IPv6Address(text[1:-1]))
    if len(text) > _LONGEST_NAME + 1 or _AMBIGUOUS & set(text):
        raise ValueError("it is too long" if len(text) > _LONGEST_NAME else "write it as it stands in the DNS, with xn--")
    if not text.isascii():
        try:
            text = text.encode("idna").decode("ascii")  # full-width digits and dots become plain ones too
        except UnicodeError:
            raise ValueError("it is no name that a host can have") from None
    name = text.lower().removesuffix(".")
    labels = name.split(".")
    if not all(0 < len(label) <= _LONGEST_LABEL and _LABEL.issuperset(label) for label in labels):
        raise ValueError("it is no name that a host can have")
    if labels[-1].isdigit() or labels[-1].startswith("0x"):
        try:
            return IPv4Address(socket.inet_aton(name))  # as resolvers read it: 127.1, 0x7f000001, 2130706433
        except OSError:
            raise ValueError("it is no address") from None
    return name


def joined(host: Host, port: int) -> str:
    """Return host and port as they stand in a request."""
    return f"[{host}]:{port}" if isinstance(host, IPv6Address) else f"{host}:{port}"


def address_of(text: str) -> Address:
    """Return the address that a resolver answered with. Raises ValueError."""
    return ip_address(text.partition("%")[0])


def is_public(address: Address) -> bool:
    """Whether an address is one of the open internet, and hides none that is not."""
    return all(_is_public(one) for one in _all_in(address))


def unwrapped(address: Address) -> Address:
    """Return the address of IPv4 that one of IPv6 is only another spelling of, else the same."""
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


def _rule(text: str) -> Rule:
    name, port = split(text)
    ports = WEB if port is None else (port,)
    if name == "*":
        return Rule("", ports, "*")
    within = "*" if name.startswith("*.") else "." if name.startswith(".") else ""
    host = parsed(name.removeprefix("*").removeprefix(".") if within else name)
    if within and isinstance(host, Address):
        raise ValueError("nothing is below an address")
    return Rule(host, ports, within)


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return address.is_global and not any(address in network for network in _NEVER_4)
    if address in _NAT64:
        return True  # what it carries is judged
    return address in _UNICAST_6 and address.is_global and not any(address in network for network in _NEVER_6)


def _all_in(address: Address) -> Iterator[Address]:
    if isinstance(address, IPv4Address):
        yield address
        return
    if address.ipv4_mapped is None:
        yield address
    if any(address in network for network in _CARRIES_4):
        yield IPv4Address(int(address) & 0xFFFFFFFF)
    if address.sixtofour is not None:
        yield address.sixtofour
    yield from address.teredo or ()
    if int(address) >> 32 & 0xFFFFFFFF in {0x5EFE, 0x2005EFE}:  # ISATAP
        with suppress(ValueError):
            yield IPv4Address(int(address) & 0xFFFFFFFF)
