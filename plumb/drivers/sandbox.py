"""A sandbox: one container's network stack, whatever networks it is on.

A new network namespace has one link, `lo`, which is down. Raised, it brings 127.0.0.1/8 and ::1 by
itself. Docker changes two settings in every namespace that it makes: any user may open a port below
1024 there (the container has its own ports, so there is nobody to protect), and any group may ping
without privileges.

Which of its networks leads outside is decided for each address family on its own
(`gateways.gateway_of`), whenever a network comes or goes; the default route then moves, and is
replaced in place.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network

from plumb.address import IPNetwork, ip_on
from plumb.frozen import replace
from plumb.model.cnm import Endpoint, Ends, Pairs, Role, Sandbox, Status
from plumb.model.container_options import capabilities
from plumb.model.lifecycle import Restart
from plumb.model.net.gateways import gateway_of
from plumb.model.paths import Layout
from plumb.things import Thing
from plumb.things.host_ports import Agent
from plumb.things.layer3 import Address, Route, Sysctl
from plumb.things.links import Up
from plumb.things.sandbox import Directory, Edits, File, Namespace, Process
from plumb.things.supervision import DelayedStart, HealthProbe

EDITS = {"resolv.conf": Edits.LEFT, "hosts": Edits.MERGED}
"""What becomes of what the user writes into them; anything else is overwritten."""
LINK_LOCAL_PREFIX = {4: 16, 6: 64}
FORWARDING = {"net/ipv4/ip_forward": "1"}
"""A balancer hands on what is not for itself. It takes over no setting from the first namespace,
where it may be either."""
SETTINGS: dict[Role, dict[str, str]] = {
    Role.CONTAINER: {
        "net/ipv4/ip_unprivileged_port_start": "0",
        "net/ipv4/ping_group_range": "0 2147483647",
    },
    Role.BALANCER: FORWARDING,
    Role.INGRESS: FORWARDING,
}
"""Settings of a new namespace, by the part that its sandbox plays."""
SHELL = ("/bin/sh", "-c")
EVERYWHERE: dict[int, IPNetwork] = {4: IPv4Network("0.0.0.0/0"), 6: IPv6Network("::/0")}


def files(box: Sandbox, layout: Layout, texts: dict[str, str]) -> Iterator[Thing]:
    """The container's own resolv.conf, hosts and hostname, which its processes see in /etc."""
    folder = layout.container(box.id)
    yield Directory(folder)
    for name, text in texts.items():
        yield File(f"{folder}/{name}", text, EDITS.get(name, Edits.OVERWRITTEN))


def namespace(box: Sandbox, ns: str) -> Iterator[Thing]:
    """Network namespace of a sandbox, with `lo` up and the sysctls set."""
    yield Namespace(ns, box.start)
    for name, value in {**SETTINGS[box.role], **dict(box.sysctls)}.items():
        yield Sysctl(name, value, ns)
    yield Up("lo", ns)


def gateways(ends: Ends, ns: str) -> Iterator[Thing]:
    """The default routes."""
    for version in (4, 6):
        chosen = gateway_of(ends, version)
        if chosen is None:
            continue
        end, net = chosen
        ip = end.address(version)
        router = net.router(ip) if ip else None
        if router is not None or net.layer3:
            yield Route(EVERYWHERE[version], router, end.ifname, ns)


def interface(end: Endpoint, ns: str, ipv6: bool = True) -> Iterator[Thing]:
    """Things that every interface in a sandbox needs: addresses, sysctls, up.

    Args:
        ipv6: True if the kernel has IPv6 on the link.
    """
    if ipv6:
        # Without an IPv6 address from us, it shall have none at all, not even a link-local one.
        yield Sysctl(f"net/ipv6/conf/{end.ifname}/disable_ipv6", "0" if end.ip6 else "1", ns)
    for ip in end.ips:
        yield Address(end.ifname, ip, ns)
    for extra in end.link_local:
        yield Address(end.ifname, ip_on(extra, LINK_LOCAL_PREFIX[extra.version]), ns)
    for name, value in end.sysctls:
        yield Sysctl(name.replace("IFNAME", end.ifname), value, ns)
    yield Up(end.ifname, ns)


def process(box: Sandbox, ns: str, layout: Layout, config: str) -> Iterator[Process]:
    """The container's command, if it has one."""
    if box.argv:
        caps = capabilities(box.cap_add, box.cap_drop, box.privileged)
        own, shared = layout.container(box.id), layout.container(box.target or box.id)
        yield Process(
            box.id,
            own,
            shared,
            ns,
            box.argv,
            box.hostname,
            caps,
            (*box.link_environment, *box.environment),
            layout.root,
            config,
            box.start,
            log_size=box.log_size,
            log_files=box.log_files,
            log_driver=box.log.driver,
            log_server=_log_server(box),
            read_only=box.read_only_host,
            isolated=box.isolate,
            user=box.command.user,
            working_dir=box.command.working_dir,
        )


def _log_server(box: Sandbox) -> Pairs:
    if box.log.driver not in ("syslog", "fluentd"):
        return ()
    from plumb.model.lifecycle import log_drivers  # lazy: most containers have no log server

    return log_drivers.server(box)


def supervision(box: Sandbox, ns: str, layout: Layout, config: str) -> Iterator[Thing]:
    """Things of the agent for a container that runs, or that waits for its next start."""
    if box.restart.name is not Restart.NO and box.argv:
        # From the first, as each start would begin an agent, and each end would end it.
        yield Agent(layout.run)
    if box.status is Status.RESTARTING:
        back_off = box.restarts.back_off
        yield DelayedStart(layout.run, box.id, back_off, box.start, layout.root, config)
    elif box.health.command:
        yield Agent(layout.run)
        yield _probe(box, ns, layout, config)


def _probe(box: Sandbox, ns: str, layout: Layout, config: str) -> HealthProbe:
    check = box.health
    wish = replace(box, argv=(*SHELL, check.command))
    return HealthProbe(
        layout.run,
        box.id,
        next(process(wish, ns, layout, config)),
        bool(box.argv),
        check.interval,
        check.timeout,
        check.retries,
        check.start_period,
        check.start_interval,
        box.start,
    )
