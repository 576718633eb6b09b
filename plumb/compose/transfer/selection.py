"""Selection of what `network export` writes: what a compose file can say, or a remark why not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from plumb.compose.transfer.described import Present, is_users
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
    nets = [net for net in wanted if _can_be_written(net, remarks)]
    boxes = list(_on(named, present) if named else present.containers) if containers else []
    kept = _placed(boxes, present, remarks)
    return Selection(tuple(nets), tuple(kept), tuple(remarks))


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


def _placed(boxes: Sequence[Sandbox], present: Present, remarks: list[str]) -> list[Sandbox]:
    """Leave out containers without a network, which a compose file would put on the default one.

    So are those that share the network stack of one. A network that is not there is named.
    """
    gone = set()
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
