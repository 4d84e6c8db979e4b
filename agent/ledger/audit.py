"""Owns proving that the ledger is what was written: no record altered, added or left out, and every byte it needs at hand."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from agent.errors import JumarError
from agent.ledger.action import Action, Held
from agent.ledger.blobs import Blobs
from agent.ledger.chain import Chain, Link

_TOGETHER = 500  # objects that are read at once


@dataclass(frozen=True, slots=True)
class Audit:
    """What an audit found; without faults the ledger is whole."""

    records: int
    objects: int
    head: str
    faults: tuple[str, ...] = ()


async def audit(chain: Chain, blobs: Blobs, seals: Iterable[str], kept_from: Callable[[Sequence[Link]], int]) -> Audit:
    """Look at all of the ledger. `seals` are those that logs of sessions name; `kept_from` counts those that were pruned."""
    fresh = Chain(chain.path)
    try:
        links = fresh.links()
    except JumarError as error:
        return Audit(0, 0, "", (str(error),))
    faults = []
    if chain.path.exists() and (beyond := chain.path.stat().st_size - (links[-1].end if links else 0)):
        faults.append(f"{beyond} bytes after the last record are no record")
    known = {link.seal for link in links}
    if missing := [seal for seal in dict.fromkeys(seals) if seal not in known]:
        faults.append(f"{len(missing)} records that sessions speak of are not there, the first {missing[0][:12]}")
    try:
        kept = kept_from(links)
    except JumarError as error:
        faults.append(str(error))
        kept = 0
    names = sorted({held.object for link in links[kept:] for held in held_by(link.action)})
    for start in range(0, len(names), _TOGETHER):
        some = names[start : start + _TOGETHER]
        try:
            await blobs.get(some)
        except JumarError:
            faults += [fault for name in some if (fault := await _fault(blobs, name))]
    return Audit(len(links), len(names), fresh.head, tuple(faults))


async def _fault(blobs: Blobs, name: str) -> str:
    try:
        await blobs.get([name])
    except JumarError:
        return f"the object {name[:12]} is lost or damaged"
    return ""


def held_by(action: Action) -> list[Held]:
    """Return what an action needs of the store."""
    found = [held for delta in action.deltas for held in (delta.before, delta.after) if held is not None]
    found += [Held(one.index, 0) for one in action.repository or () if one.index]
    return found
