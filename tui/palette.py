"""Owns the command palette: the table of commands, to be searched by what they are for."""

from collections.abc import Callable, Iterable
from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider

from tui.completion import Offer


def palette(offers: Iterable[Offer], run: Callable[[str], None]) -> type[Provider]:
    """Return what provides commands to Textual's palette; `run` is told the name of the one that is chosen."""
    known = tuple(offers)

    class Palette(Provider):
        async def discover(self) -> Hits:
            for offer in known:
                yield DiscoveryHit(f"/{offer.name}", partial(run, offer.name), help=offer.help)

        async def search(self, query: str) -> Hits:
            matcher = self.matcher(query)
            for offer in known:
                text = f"/{offer.name}  {offer.help}"
                if (score := matcher.match(text)) > 0:
                    yield Hit(score, matcher.highlight(text), partial(run, offer.name))

    return Palette
