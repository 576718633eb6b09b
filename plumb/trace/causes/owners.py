"""Owners: commands by which a network or container is mended, in the words of who has made it.

A container of Docker's is connected by `docker network connect`, and Docker writes its rules again
when it starts again; `plumb repair` would do nothing for either.
"""

from __future__ import annotations

from plumb.foreign import names
from plumb.foreign.values import RESTART_DOCKER, Engine
from plumb.frozen import frozen
from plumb.model.cnm import Network, Sandbox
from plumb.trace.causes.case import Case

MADE_ANEW = "the container made anew: its CNI plugins run again then"


@frozen
class Words:
    """Command line of an engine.

    Attributes:
        engine: its name for people; command: the program.
        rebuild: builds anew what its networks need on the host: bridges that are gone, rules.
        links: true if that sets up a bridge that is there, and gives it its address.
        rejoin: builds a container's interfaces and routes anew, with {} for its name.
        republish: writes the rules of a container's published ports anew; empty: as `rebuild`.
    """

    engine: str
    command: str
    rebuild: str
    rejoin: str
    republish: str = ""
    links: bool = True


PLUMB = Words("plumb", "plumb", "plumb repair", "plumb repair")
ENGINES = {
    Engine.DOCKER: Words("Docker", "docker", RESTART_DOCKER, "docker restart {}"),
    Engine.PODMAN: Words(
        "Podman",
        "podman",
        "podman network reload --all",
        "podman restart {}",
        "podman network reload {}",
        links=False,
    ),
    Engine.CONTAINERD: Words("containerd", "nerdctl", MADE_ANEW, MADE_ANEW),
}


def words(case: Case, made: Network | Sandbox | None) -> Words:
    """Words for a network or container; plumb's own for None."""
    engine = case.engines.get(made.id) if made is not None else None
    return ENGINES.get(engine, PLUMB) if engine is not None else PLUMB


def bare(made: Sandbox) -> str:
    """Name of a container as its engine has it."""
    return names.qualifier(made.name)[1]


def rebuild(case: Case, net: Network | None) -> str:
    """Command that builds anew what a network needs on the host."""
    return words(case, net).rebuild


def relink(case: Case, net: Network, line: str) -> tuple[str, ...]:
    """Commands that mend a bridge which is there: the engine's, if it does, and a line of ip's."""
    own = words(case, net)
    return (own.rebuild,) if own.links else (line,)


def rejoin(case: Case, box: Sandbox) -> str:
    """Command that builds a container's interfaces and routes anew."""
    return words(case, box).rejoin.format(bare(box))


def republish(case: Case, box: Sandbox) -> str:
    """Command that writes the rules of a container's published ports anew."""
    own = words(case, box)
    return (own.republish or own.rebuild).format(bare(box))


def connect(case: Case, net: Network | None, box: Sandbox) -> str:
    """Command that connects a container to a network; to one of the user's choice for None."""
    name = net.name if net else "NETWORK"
    return f"{words(case, box).command} network connect {name} {bare(box)}"


def publish(case: Case, box: Sandbox | None, port: int) -> str:
    """Command that runs a container with a published port."""
    return f"{words(case, box).command} run -p {port}:{port} …"
