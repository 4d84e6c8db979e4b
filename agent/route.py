"""Owns which endpoints and models are asked: what a person named, the environment, the settings, in this order."""

import difflib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from agent.config import Config, Connection, EndpointTable
from agent.endpoints import BUILT_IN, Endpoint, Variable, built_in, normal, protocol_at, same_host, server_at
from agent.errors import AUTHENTICATION, UsageError
from agent.safe import safe_line
from agent.stored import Found

LOCAL = "local"  # the endpoint of no server: what follows is a file
_SET_UP = (
    "export MOONSHOT_API_KEY=…, or run jumar login ENDPOINT, or set JUMAR_BASE_URL for a server of your own; "
    "see jumar endpoints, or, without a model, jumar demo"
)


@dataclass(frozen=True, slots=True)
class Route:
    """An endpoint and the name of a model there; "" is the server's own choice. `found` is the key of who chose, if any."""

    endpoint: Endpoint
    model: str
    found: Found | None = None

    def connection(self, found: Found | None, window: int | None = None) -> Connection:
        """Return the connection, with its key. `window` is what a person says of this run's."""
        endpoint = self.endpoint
        source = found.source if found else endpoint.variable
        return Connection(
            endpoint.base_url,
            found.key if found else "",
            source,
            self.model,
            endpoint.protocol,
            endpoint.server,
            dict(endpoint.headers),
            window or endpoint.context,
        )


@dataclass(frozen=True, slots=True)
class LocalRoute:
    """A model in a file of this machine, without a server."""

    path: str
    window: int | None = None  # tokens, where a person says it
    threads: int = 1


def known(config: Config) -> dict[str, Endpoint]:
    """Return every endpoint by its name, the person's before the built-in ones. Raises UsageError."""
    own = {name: _own(name, table) for name, table in config.endpoints.items()}
    return {**own, **{one.name: replace(one, server=one.name) for one in BUILT_IN if one.name not in own}}


def key_variables(config: Config) -> frozenset[str]:
    """Return every variable that may hold a key: none of them is a command's business."""
    of_built_in = {variable.name for endpoint in BUILT_IN for variable in endpoint.variables}
    return frozenset({"JUMAR_API_KEY", *of_built_in, *(one.key_env for one in config.endpoints.values() if one.key_env)})


def routes(
    config: Config, environment: Mapping[str, str], named: Sequence[str] = (), stored: Callable[[], Collection[str]] = tuple
) -> tuple[Route | LocalRoute, ...]:
    """Decide which models are asked, the first first; `stored` says which endpoints have a stored key. Raises UsageError."""
    endpoints = known(config)
    default = _Default(config, environment, endpoints, stored)
    addressed = bool(environment.get("JUMAR_BASE_URL"))
    names = [name for name in named if name]
    if not names and (name := environment.get("JUMAR_MODEL", "")):
        if addressed:  # it is that server's name for it, colons and all
            return (default.route(name),)
        names = [name]
    aimed = bool(split(config.model, endpoints)[0])
    if not names:
        said = config.models or ((config.model,) if aimed else ())
        # Who names a server for this run does not mean those of the file.
        names = [name for name in said if not (addressed and split(name, endpoints)[0])]
    if not names:
        route = default.route("")
        return (replace(route, model=route.model or ("" if aimed else config.model)),)
    found: list[Route | LocalRoute] = []
    for name in names:
        endpoint, model = split(name, endpoints)
        if endpoint == LOCAL:
            if not model:
                raise UsageError("say which file: -m local:FILE.gguf")
            one: Route | LocalRoute = LocalRoute(model, threads=config.local_threads)
        elif endpoint:
            one = Route(endpoints[endpoint], model or endpoints[endpoint].model)
        else:
            one = default.route(model)
        if one not in found:
            found.append(one)
    return tuple(found)


def split(name: str, endpoints: Collection[str]) -> tuple[str, str]:
    """Split ENDPOINT:MODEL; the endpoint is "" where none is named. Names of models may hold colons too."""
    endpoint, colon, model = name.partition(":")
    if endpoint in endpoints or (endpoint == LOCAL and colon):
        return endpoint, model
    return "", name


class _Default:
    """Where a model goes that names no endpoint. It is found out only where it is needed."""

    def __init__(
        self,
        config: Config,
        environment: Mapping[str, str],
        endpoints: Mapping[str, Endpoint],
        stored: Callable[[], Collection[str]],
    ) -> None:
        self._config = config
        self._environment = environment
        self._endpoints = endpoints
        self._stored = stored

    def route(self, model: str) -> Route:
        chosen = self._by_address() or self._by_file() or self._by_variable() or self._by_login()
        if chosen is None:
            if own := sorted(self._config.endpoints):
                raise UsageError(f'config.toml has the endpoints {", ".join(own)}; say which: endpoint = "{own[0]}"')
            lacking = f"no server is set up to ask for {safe_line(model)}" if model else "no model is set up"
            raise UsageError(f"{lacking}: {_SET_UP}", AUTHENTICATION)
        return replace(chosen, model=model or chosen.model)

    def _by_address(self) -> Route | None:
        environment = self._environment
        address, key = environment.get("JUMAR_BASE_URL", ""), environment.get("JUMAR_API_KEY", "").strip()
        if not address:
            if key:
                raise UsageError("JUMAR_API_KEY is set, but not where to send it: set JUMAR_BASE_URL too", AUTHENTICATION)
            return None
        endpoint = _at(address, "JUMAR_BASE_URL", replace(_NAMELESS, variables=(Variable("JUMAR_API_KEY"),)))
        return Route(endpoint, "", Found(key, "JUMAR_API_KEY"))

    def _by_file(self) -> Route | None:
        config = self._config
        name = config.endpoint
        if not name:
            said = (split(one, self._endpoints)[0] for one in (config.model, *config.models))
            name = next((one for one in said if one not in {"", LOCAL}), "")
        if not name and len(config.endpoints) == 1:
            [name] = config.endpoints
        if not name:
            return None
        endpoint = self._endpoints.get(name)
        if endpoint is None:
            raise UsageError(unknown(name, self._endpoints))
        return Route(endpoint, endpoint.model)

    def _by_variable(self) -> Route | None:
        environment = self._environment
        for endpoint in BUILT_IN:
            for variable in endpoint.variables:
                if not (key := environment.get(variable.name, "").strip()):
                    continue
                endpoint = replace(endpoint, server=endpoint.name, variables=(variable,))
                address = next((name for name in variable.addresses if environment.get(name)), "")
                if address:
                    endpoint = _at(environment[address], address, endpoint)
                family = variable.name.partition("_")[0]
                model = environment.get({"KIMI": "KIMI_MODEL_NAME", "ANTHROPIC": "ANTHROPIC_MODEL"}.get(family, ""), "")
                return Route(endpoint, model, Found(key, variable.name))
        return None

    def _by_login(self) -> Route | None:
        stored = self._stored()
        found = next((one for name, one in self._endpoints.items() if name in stored), None)
        return Route(found, found.model) if found else None


_NAMELESS = Endpoint("", "", keyless=True)


def unknown(name: str, endpoints: Collection[str]) -> str:
    """Return the words for an endpoint that is none."""
    near = difflib.get_close_matches(name, endpoints, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "jumar endpoints lists them"
    return f"there is no endpoint {name!r}; {hint}"


def _at(address: str, source: str, endpoint: Endpoint) -> Endpoint:
    """Return the endpoint at the address that a variable says."""
    protocol = endpoint.protocol if endpoint.protocol == "anthropic" else protocol_at(address)
    base_url = normal(address, source, protocol)
    return replace(endpoint, base_url=base_url, protocol=protocol, server=server_at(base_url), terms=_terms(base_url))


def _terms(base_url: str) -> str:
    like = built_in(server_at(base_url))
    return like.terms if like else ""


def _own(name: str, table: EndpointTable) -> Endpoint:
    like = built_in(table.server or name)
    address, protocol = table.base_url, table.protocol
    if like and not address:
        protocol = protocol or like.protocol
        address = (like.messages_url if protocol == "anthropic" else "") or like.base_url
    protocol = protocol or protocol_at(address)
    base_url = normal(address, f"endpoints.{name}.base_url", protocol)
    variables: tuple[Variable, ...] = (Variable(table.key_env),) if table.key_env else ()
    keyless = not table.key_env and not table.key_command
    if like and same_host(base_url, like.base_url):  # what is that one's is this one's
        variables += like.variables
        keyless = keyless and like.keyless
    return Endpoint(
        name,
        base_url,
        note="yours",
        protocol=protocol,
        variables=variables,
        keyless=keyless,
        terms=_terms(base_url),
        server=table.server or server_at(base_url) or (name if like else ""),
        key_command=table.key_command,
        model=table.model,
        headers=table.headers,
        context=table.context,
        own=True,
    )
