"""Containers in the intent: create, start, stop, rm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from signal import SIGKILL, SIGTERM
from types import MappingProxyType

from plumb.engine import allocate, attachments, container_links, networks, port_publishing
from plumb.engine.allocate import resolving
from plumb.engine.cluster import attach, configurations
from plumb.engine.cluster.attach import Given
from plumb.engine.operation import Operation
from plumb.errors import Conflict, Invalid, beginning
from plumb.frozen import replace
from plumb.model import container_options as own
from plumb.model import parse as opt
from plumb.model.cnm import DEFAULT_NETWORK, Attachment, Network, Sandbox, Status
from plumb.model.lifecycle import Restarts
from plumb.things.sandbox import GRACE

NO_RESTARTS = Restarts()
NETWORKING = "failed to set up container networking: "

# -- create ---------------------------------------------------------------


def create(op: Operation, wish: Sandbox) -> Sandbox:
    """A new container, not started.

    Args:
        wish: what was asked for; its id, number and dates are chosen here, and so is its name if it
        has none.

    Raises:
        Conflict: the name is in use.
        Invalid: what was asked for does not go together.
    """
    wish = replace(wish, read_only_host=wish.read_only_host or wish.isolate)
    refuse_undoing(wish, privileged=wish.privileged)
    name = opt.object_name(wish.name, "container") if wish.name else allocate.random_name(op)
    ident = op.system.new_id()
    box = replace(
        wish,
        id=ident,
        name=name,
        created=op.system.now(),
        number=op.number(Sandbox),
        status=Status.CREATED,
    )
    box = container_links.asked(
        op, _settle_mode(op, replace(box, owns_hostname=bool(box.hostname)))
    )
    refuse_taken(op, name)
    if not box.hostname:
        box = replace(box, hostname=op.system.host_name() if box.mode == "host" else ident[:12])
    box = _with_host_files(op, box)
    op.put(box)
    return box


def refuse_taken(op: Operation, name: str) -> None:
    """See that no container has a name.

    Raises:
        Conflict: one has it.
    """
    rival = op.named(Sandbox, name)
    if rival is not None:
        raise Conflict(
            f'Conflict. The container name "/{name}" is already in use by container "{rival.id}". '
            "You have to remove (or rename) that container to be able to reuse that name."
        )


def refuse_undoing(box: Sandbox, *, privileged: bool) -> None:
    """See that a command that is to see the host's files read-only cannot undo that.

    Args:
        box: a container, or what was asked for.
        privileged: whether this command of it is to have all capabilities.

    Raises:
        Invalid: it would have a capability for it.
    """
    undoing = own.undoing(box.cap_add, box.cap_drop, privileged) if box.read_only_host else ""
    if undoing:
        raise Invalid(
            f"conflicting options: {'--isolate' if box.isolate else '--read-only-host'} is undone "
            f"by {'--privileged' if privileged else f'the capability {undoing}'}",
            "leave one of them out",
        )


def _with_host_files(op: Operation, box: Sandbox) -> Sandbox:
    """A container with the host's files of names as they are now, which its own are made from."""
    path, source = op.resolv
    return replace(
        box,
        resolv_source=source,
        resolv_path=path,
        hosts_source=op.system.host_file("hosts") if box.mode == "host" else "",
    )


def _settle_mode(op: Operation, box: Sandbox) -> Sandbox:
    """Apply --network host, none and container:X, and refuse options that conflict with them."""
    box = replace(
        box,
        attachments=tuple(
            replace(wish, network=_canonical(op, wish.network)) for wish in box.attachments
        ),
    )
    names = [wish.network for wish in box.attachments]
    special = [name for name in names if name in ("host", "none") or name.startswith("container:")]
    if special and len(names) > 1:
        raise Invalid(
            f"conflicting options: the {special[0]} network cannot be joined together with others"
        )
    if op.settings.bridge == "none" and names in ([], [DEFAULT_NETWORK]):
        return replace(
            box, attachments=(), mode="none"
        )  # as Docker: without a default network there is lo alone
    if not names:
        box = replace(box, attachments=(Attachment(DEFAULT_NETWORK),))
    for wish in box.attachments:
        if special or wish.network == DEFAULT_NETWORK:
            _refuse_places(wish, bool(special))
    _refuse_twice(op, [wish.network for wish in box.attachments])
    if not special:
        return box
    return _special(op, replace(box, attachments=()), special[0])


def _refuse_places(wish: Attachment, special: bool) -> None:
    """Refuse what an endpoint on a network that the user has not made cannot have."""
    wrong = []
    addresses = [ip for ip in (wish.ip, wish.ip6) if ip]
    if addresses:
        wrong.append("user-specified IP address is supported on user-defined networks only")
    if wish.aliases:
        wrong.append("network-scoped aliases are only supported for user-defined networks")
    if special:
        wrong += [f"no configured subnet contains IP address {ip}" for ip in addresses]
    if wrong:
        with beginning(f"invalid config for network {wish.network}: "):
            raise attachments.unfit(wrong)


def _refuse_twice(op: Operation, networks: Sequence[str]) -> None:
    for name in networks:
        if networks.count(name) > 1:
            net = op.find(Network, name)
            raise Invalid(f'network "{net.name if net else name}" is specified multiple times')


def _canonical(op: Operation, reference: str) -> str:
    """A network's one name in the intent.

    Its id, the name of a predefined one, or what was said of one that is not there.
    """
    if reference.startswith("container:"):
        return reference
    reference = DEFAULT_NETWORK if reference == "default" else reference
    net = op.find(Network, reference) or op.cluster.network(reference)
    return reference if net is None else net.name if net.predefined else net.id


def _special(op: Operation, box: Sandbox, mode: str) -> Sandbox:
    if mode == "none":
        return replace(box, mode="none")
    if box.links:
        kind = mode.partition(":")[0]
        raise Invalid(
            f"conflicting options: {kind} type network{'ing' if kind == 'host' else ''}"
            " can't be used with links. This would result in undefined behavior"
        )
    conflicts: dict[str, object] = {"sysctls": box.sysctls}
    if mode.startswith("container:"):
        conflicts = {
            "hostname": box.hostname,
            "dns": box.dns or box.dns_search or box.dns_options,
            "custom host-to-IP mapping": box.extra_hosts,
            "port publishing": box.ports or box.publish_all,
            "port exposing": box.exposed,
            **conflicts,
        }
    for what, given in conflicts.items():
        if given:
            mode_of = "container type network mode" if what.startswith("port") else "network mode"
            raise Invalid(
                f"conflicting options: {what} and the {mode_of}",
                f"the network stack is another's with --network {mode}",
            )
    if mode == "host":
        return replace(box, mode="host")
    reference = mode.removeprefix("container:")
    if not reference:
        raise Invalid("invalid container format container:<name|id>")
    with beginning("joining network namespace of container: "):
        target = op.the_sandbox(reference)
    if target.mode == "host":
        return replace(box, mode="host", hostname=target.hostname)
    owner = target.target or target.id
    return replace(box, mode=f"container:{owner}", hostname=target.hostname)


# -- start, stop, rm ---------------------------------------------------------------


def start(
    op: Operation,
    reference: str,
    foreground: bool = False,
    restarts: Restarts = NO_RESTARTS,
    given: Mapping[str, Given] = MappingProxyType({}),
) -> Sandbox:
    """Start a container: its namespace, its endpoints, its published ports, its command.

    Args:
        foreground: whoever starts it will run the command.
        restarts: automatic starts, this one included; none where the user starts it.
        given: places in networks of the cluster that it has already, by the networks' ids.

    Raises:
        NotFound: it, or a network that it shall be on, is not there.
        Conflict: an address or a host port that it asks for is taken.
    """
    box = op.the_sandbox(reference)
    if box.status is Status.RUNNING:
        return box
    if box.target:
        target = op.the_sandbox(box.target)
        if target.status is not Status.RUNNING:
            raise Conflict(
                "cannot join network namespace of a non running container: "
                f"container {target.name} is {target.status}"
            )
    box = container_links.linked(
        op,
        replace(
            _with_host_files(op, box),
            host_gateways=container_links.host_gateways(op, box.extra_hosts),
        ),
    )
    box = replace(
        box,
        status=Status.RUNNING,
        foreground=foreground,
        start=box.start + 1 if box.started else 0,
        started=op.system.now(),
        exit_code=0,
        error="",
        restarts=restarts,
    )
    used = {wish.ifname for wish in box.attachments if wish.ifname}
    if len(used) < sum(bool(wish.ifname) for wish in box.attachments):
        raise Conflict("two interfaces of one container cannot have the same name")
    for wish in box.attachments:
        place = given.get(wish.network)
        if place is not None:
            used.add(attach.given(op, box, wish, place, used - {wish.ifname}).ifname)
            continue
        with beginning(NETWORKING):
            net = configurations.part(op, networks.known(op, wish.network))
        with beginning(f"invalid config for network {net.name}: "):
            attachments.check_endpoint(net, wish)
        with beginning(NETWORKING):
            used.add(attachments.join(op, net, box, wish, used - {wish.ifname}).ifname)
    networks.way_out(op, box)
    box = resolving(op, box)
    op.put(box)
    with beginning(NETWORKING):
        port_publishing.publish(op, box)
    container_links.moved(op, box)
    return box


def stop(
    op: Operation,
    reference: str,
    exit_code: int | None = None,
    timeout: float | None = None,
    stop_signal: str = "",
) -> Sandbox:
    """Stop a container: its endpoints go, its configuration stays.

    Args:
        exit_code: how its command ended, if it ended by itself.
        timeout: seconds that its command has after the signal; below 0, it is not killed; None: as
            the container was made, else ten.
        stop_signal: the signal's name or number; empty: as the container was made, else SIGTERM.

    Raises:
        Invalid: there is no such signal.
    """
    box = op.the_sandbox(reference)
    if exit_code is None:
        box = _by_hand(op, box)
    if box.status is not Status.RUNNING:
        return box
    if exit_code is None:
        exit_code = _ask_to_end(op, box, timeout, stop_signal)
    for end in op.endpoints(sandbox=box.id):
        attach.leave(op, end)
    box = replace(
        box,
        status=Status.EXITED,
        finished=op.system.now(),
        exit_code=exit_code,
        dns_udp=0,
        dns_tcp=0,
    )
    op.put(box)
    container_links.moved(op, box)
    return box


def _ask_to_end(op: Operation, box: Sandbox, timeout: float | None, stop_signal: str) -> int:
    """Plan the end of a container's command; return the exit code that it has if it obeys.

    Once the command has ended, `exit_codes` records the one that it had.
    """
    asked = int(SIGTERM)
    if stop_signal or box.command.stop_signal:
        from plumb.model.lifecycle import signals  # lazy: most containers have SIGTERM

        asked = signals.number(stop_signal or box.command.stop_signal)
    if timeout is None:
        given = box.command.stop_timeout
        timeout = GRACE if given is None else given
    op.allow(box, timeout, asked)
    return 128 + (asked if timeout else SIGKILL) if box.argv else 0


def _by_hand(op: Operation, box: Sandbox) -> Sandbox:
    """Note that the user stops a container, so that no policy starts it again."""
    status = Status.EXITED if box.status is Status.RESTARTING else box.status
    noted = replace(box, status=status, restarts=replace(box.restarts, stopped=True))
    if noted != box:
        op.put(noted)
    return noted


def remove(op: Operation, reference: str, force: bool = False) -> Sandbox:
    """Take a container away.

    Raises:
        Conflict: it runs, and force is not given.
    """
    box = op.the_sandbox(reference)
    if box.status in (Status.RUNNING, Status.RESTARTING):
        if not force:
            raise Conflict(
                f'cannot remove container "{box.name}": container is {box.status}: '
                "stop the container before removing or force remove"
            )
        box = stop(op, box.id, timeout=0)
        op.allow(box, 0, SIGKILL)
    container_links.forget(op, box)
    op.drop(box)
    configurations.forgotten(op, box)
    return box
