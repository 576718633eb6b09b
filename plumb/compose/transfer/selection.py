"""Selection of what `network export` writes: what a compose file can say, or a remark why not."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from plumb.compose import normal_form
from plumb.compose.transfer.described import Description, Present, is_users, keys_of
from plumb.errors import Invalid
from plumb.frozen import frozen
from plumb.model.cnm import Network, Sandbox


@frozen
class Selection:
    """Networks and containers of a host to export, and a line for each that is left out.

    Attributes:
        networks: those to describe; containers: those to describe.
        remarks: a line for each that a compose file cannot say, with the reason.
    """

    networks: tuple[Network, ...]
    containers: tuple[Sandbox, ...]
    remarks: tuple[str, ...] = ()


def selected(
    present: Present, named: Sequence[Network] = (), *, containers: bool = True
) -> Selection:
    """Select what is exported.

    Args:
        named: these networks, the containers on them, and those that share the network stack of
            one; none: all networks that a user has made, and all containers.
        containers: whether any containers are.

    Raises:
        Invalid: a named network is predefined, or one that plumb makes by itself.
    """
    for net in named:
        if not is_users(net):
            raise Invalid(
                f"network {net.name} is on every host", "containers on it come with the others"
            )
    remarks: list[str] = []
    wanted = [*(named or filter(is_users, present.networks))]
    texts = _Texts(present)
    nets = [net for net in wanted if _can_be_written(net, remarks) and texts.has(net, remarks)]
    boxes = list(_on(named, present) if named else present.containers) if containers else []
    left = {box.id for box in boxes if not texts.has(box, remarks)}
    boxes = [box for box in boxes if box.id not in left]
    kept = _placed(boxes, left, present, remarks)
    return Selection(tuple(nets), tuple(kept), tuple(remarks))


class _Texts:
    """Look at the texts of networks and containers: a file is UTF-8, command lines need not be."""

    def __init__(self, present: Present) -> None:
        self._present = present
        self._keys = keys_of(present.networks)

    def has(self, of: Network | Sandbox, remarks: list[str]) -> bool:
        """True if all is text; else it is left out, with a remark."""
        unlike = [key for key, value in self._described(of).items() if not _is_text(value)]
        if unlike:
            kind = "network" if isinstance(of, Network) else "container"
            remarks.append(
                f"{kind} {of.name} is left out: what is no UTF-8 cannot be in a file: "
                f"{', '.join(unlike)}"
            )
        return not unlike

    def _described(self, of: Network | Sandbox) -> dict[str, Any]:
        if isinstance(of, Network):
            made = Description(self._present, (of,), ()).network(of, of.name)
            return normal_form.network(made)
        box = Description(self._present, (), (of,)).service(of, self._keys, [])
        return normal_form.service(box)


def _is_text(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _can_be_written(net: Network, remarks: list[str]) -> bool:
    """Tell whether a compose file can have a network; remark on what of it is not in the file."""
    if net.config_only:
        remarks.append(
            f"network {net.name} is left out: a compose file has no configurations (--config-only)"
        )
        return False
    if net.swarm:
        remarks.append(
            f"network {net.name} is left out: a compose file has no networks that each node of a "
            "cluster builds for itself (--scope swarm)"
        )
        return False
    if net.config_from:
        remarks.append(
            f"network {net.name} is written with what it has taken over from the configuration "
            f"{net.config_from}, not with --config-from"
        )
    return True


def _on(nets: Sequence[Network], present: Present) -> Iterator[Sandbox]:
    """Yield the containers on networks, and those that share the network stack of one."""
    idents = {box.id for box in present.containers if any(map(box.attachment, nets))}
    yield from (box for box in present.containers if idents & {box.id, box.target})


def _placed(
    boxes: Sequence[Sandbox], left: Iterable[str], present: Present, remarks: list[str]
) -> list[Sandbox]:
    """Leave out containers without a network, which a compose file would put on the default one.

    So are those that share the network stack of one that is left out. A network that is not there
    is named.

    Args:
        left: ids of those that are left out already.
    """
    gone = set(left)
    for box in boxes:
        missing = [
            wish.network for wish in box.attachments if present.network(wish.network) is None
        ]
        remarks.extend(
            f"network {name}, which container {box.name} asks for, is not there" for name in missing
        )
        if box.mode == "network" and len(missing) == len(box.attachments):
            gone.add(box.id)
            remarks.append(
                f"container {box.name} is left out: it is on no network, and a compose file would "
                "put it on the default one"
            )
    for box in boxes:
        if box.target in gone:
            gone.add(box.id)
            remarks.append(
                f"container {box.name} is left out: it shares the network stack of one that is"
            )
    return [box for box in boxes if box.id not in gone]
