"""Names, asked for as programs do: from inside the containers, at 127.0.0.11, on every firewall.

iptables, nf_tables     iptables-restore in the sandbox
iptables, legacy        python-iptables in the sandbox
nftables                plumb's own table in the sandbox
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import ip_address
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.reversename
import dns.rrset
import pytest

from plumb import Host, PlumbError
from plumb.kernel import agent_socket
from plumb.kernel.netns.namespaces import entered
from plumb.kernel.ports import free_ports
from plumb.kernel.system import System, this_system
from plumb.model.cnm import Attachment, Sandbox, Status
from plumb.model.net.attachment import attachment
from plumb.probes.promises.dns_names import ask, name_promises
from plumb.probes.promises.reachability import Member
from plumb.things.dns import Resolver
from tests import cases, labs
from tests.host.test_published_ports import FIREWALLS
from tests.labs import Lab, sh, within
from tests.waiting import until

SERVER = "127.0.0.11"
OUTSIDE = ip_address("198.51.100.80")


@dataclass
class Upstream:
    """A server that knows www.example. A and nothing else, and remembers who has asked it."""

    asked: list[str]


@contextmanager
def upstream(namespace: str, address: str = labs.ROUTER) -> Iterator[Upstream]:
    """One that listens in a namespace."""
    server = Upstream([])
    with entered(namespace):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((address, 53))
    sock.settimeout(0.1)
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            try:
                data, peer = sock.recvfrom(4096)
            except TimeoutError:
                continue
            query = dns.message.from_wire(data)
            server.asked.append(f"{query.question[0].name} by {peer[0]}")
            answer = dns.message.make_response(query, recursion_available=True)
            if str(query.question[0]) == "www.example. IN A":
                answer.answer.append(
                    dns.rrset.from_text("www.example.", 30, "IN", "A", str(OUTSIDE))
                )
            else:
                answer.set_rcode(dns.rcode.NXDOMAIN)
            sock.sendto(answer.to_wire(), peer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield server
    finally:
        over.set()
        thread.join(30)
        sock.close()


def question(
    host: Host,
    name: str,
    what: str,
    kind: str = "A",
    *,
    stream: bool = False,
    seconds: float = 30.0,
) -> dns.message.Message:
    """What a container's server answers."""
    query = dns.message.make_query(what if what.endswith(".") else f"{what}.", kind)
    with entered(host.namespace(host.container(name))):
        exchange = dns.query.tcp if stream else dns.query.udp
        return exchange(query, SERVER, timeout=seconds)


def found(host: Host, name: str, what: str, kind: str = "A", *, stream: bool = False) -> list[str]:
    """The addresses or names that are answered, sorted."""
    return sorted(
        record.to_text()
        for rrset in question(host, name, what, kind, stream=stream).answer
        for record in rrset
    )


def members(host: Host) -> list[Member]:
    """Who runs, with endpoints and networks."""
    running = [box for box in host.containers() if box.status is Status.RUNNING]
    return [
        (box, [(end, host.network(end.network)) for end in host.endpoints(box)]) for box in running
    ]


def broken(host: Host) -> list[str]:
    """The promises about names that are not kept."""
    known = members(host)
    places = {box.name: host.namespace(box) for box, _ in known}
    return [
        f"{each.promise}; found {each.found}"
        for each in ask(name_promises(known), places, 2.0)
        if not each.kept
    ]


def asking(server: object) -> System:
    """The machine, with this name server in its resolv.conf."""
    return replace(this_system(), resolv_source=lambda: f"nameserver {server}\n")


@pytest.fixture(params=FIREWALLS)
def site(request: pytest.FixtureRequest, lan: Lab) -> Iterator[Host]:
    """A host on a LAN, on each back end, whose router is its name server."""
    chosen = FIREWALLS[request.param]
    sh(cases.FORWARDS)
    with (
        labs.iptables(chosen.iptables),
        lan.host(settings=chosen.settings, system=asking(labs.ROUTER)) as host,
    ):
        yield host
        host.reset()


@pytest.fixture
def host(lan: Lab) -> Iterator[Host]:
    """The same on one back end."""
    with lan.host(system=asking(labs.ROUTER)) as known:
        yield known
        known.reset()


def two(host: Host) -> tuple[Sandbox, Sandbox]:
    """Containers c1 and c2 on n1."""
    host.create_network("n1", subnet=cases.DUAL, ipv6=True)
    return host.run("c1", network="n1"), host.run("c2", network="n1")


# -- on every firewall --------------------------------------------------------------------


def test_every_name_means_what_it_promises(site: Host, lan: Lab) -> None:
    """Names, aliases, short ids, host names, NAME.NETWORK, by UDP and TCP, for all who are on a
    network with the name, and no others."""
    with upstream(lan.lan), site.operation() as verbs:
        cases.named(verbs)
    with upstream(lan.lan):
        assert broken(site) == []


def test_connect_and_disconnect_are_known_at_once(site: Host) -> None:
    """To everybody on that network, and to the container itself; after a stop the name is gone."""
    two(site)
    site.create_network("n2", subnet="172.21.0.0/24")
    site.run("c3", network="n2")
    assert found(site, "c1", "c3.n2") == []
    site.connect("n2", "c1", aliases=("front",))
    assert found(site, "c1", "c3") == found(site, "c1", "c3.n2") == ["172.21.0.2"]
    assert found(site, "c3", "front") == ["172.21.0.3"]
    site.disconnect("n2", "c1")
    assert found(site, "c3", "front") == found(site, "c1", "c3") == []
    site.stop("c2")
    assert found(site, "c1", "c2") == []


def test_what_nobody_knows_is_asked_of_the_hosts_server(site: Host, lan: Lab) -> None:
    """In the host's name; its answer is handed on with its own TTL."""
    two(site)
    with upstream(lan.lan) as server:
        answer = question(site, "c1", "www.example")
        assert [record.to_text() for record in answer.answer[0]] == [str(OUTSIDE)]
        assert answer.answer[0].ttl == 30
        assert question(site, "c1", "nobody.example").rcode() == dns.rcode.NXDOMAIN
        assert server.asked == [
            f"www.example. by {labs.HOST_IP}",
            f"nobody.example. by {labs.HOST_IP}",
        ]


def test_the_containers_own_port_53_is_its_own(site: Host) -> None:
    """A server in the container on 0.0.0.0:53 and the embedded one do not meet."""
    box, _ = two(site)
    with entered(site.namespace(box)), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.bind(("0.0.0.0", 53))
        assert found(site, "c1", "c2") == ["172.20.0.3"]


# -- what is known --------------------------------------------------------------------


def test_answers_as_docker_gives_them(host: Host) -> None:
    """TTL 600, recursion available, not authoritative, and the question as it was asked."""
    two(host)
    answer = question(host, "c1", "C2")
    assert answer.answer[0].ttl == 600
    assert (
        answer.flags & (dns.flags.RA | dns.flags.AA | dns.flags.RD) == dns.flags.RA | dns.flags.RD
    )
    assert answer.question[0].name.to_text() == "C2."


def test_reverse_names(host: Host) -> None:
    """An address is called by its container's name and its network's, in both families."""
    two(host)
    for ip in ("172.20.0.3", "fd00:20::3"):
        assert found(host, "c1", dns.reversename.from_address(ip).to_text(), "PTR") == ["c2.n1."]


def test_several_of_one_name_come_in_any_order(host: Host) -> None:
    """An alias of three containers has three addresses, and none of them is always first."""
    host.create_network("n1", subnet="172.20.0.0/24")
    for _ in range(3):
        host.run(network=attachment("name=n1,alias=api"))
    host.run("c1", network="n1")
    firsts = {question(host, "c1", "api").answer[0][0].to_text() for _ in range(60)}
    assert firsts == {"172.20.0.2", "172.20.0.3", "172.20.0.4"}


def test_a_name_without_that_family_is_known_all_the_same(host: Host, lan: Lab) -> None:
    """Nobody outside is asked for the IPv6 address of a container that has none."""
    host.create_network("n1", subnet="172.20.0.0/24")
    host.run("c1", network="n1")
    with upstream(lan.lan) as server:
        answer = question(host, "c1", "c1", "AAAA")
        assert (answer.rcode(), answer.answer, server.asked) == (dns.rcode.NOERROR, [], [])


def test_a_link_is_this_containers_alone(host: Host) -> None:
    """c1 knows c2 as database, c2 does not know such a name."""
    host.create_network("n1", subnet="172.20.0.0/24")
    host.run("c1", network=attachment("n1"))
    host.disconnect("n1", "c1")
    host.connect("n1", "c1", links=(("c2", "database"),))
    host.run("c2", network="n1")
    assert found(host, "c1", "database") == found(host, "c1", "c2") == ["172.20.0.3"]
    assert found(host, "c2", "database") == []


def test_programs_find_names(host: Host, lan: Lab) -> None:
    """By /etc/resolv.conf, as the C library reads it; search domains and ndots included."""
    two(host)
    host.run("c3", network="n1", dns_search=("n1", "example"), dns_options=("ndots:2",))
    with upstream(lan.lan):
        assert lan.plumb("exec", "c1", "getent", "ahostsv4", "c2").stdout.split()[0] == "172.20.0.3"
        assert lan.plumb("exec", "c3", "getent", "ahostsv4", "c2").stdout.split()[0] == "172.20.0.3"
        assert lan.plumb("exec", "c3", "getent", "ahostsv4", "www").stdout.split()[0] == str(
            OUTSIDE
        )


# -- who is asked --------------------------------------------------------------------


def test_an_internal_network_asks_nobody_outside(host: Host, lan: Lab) -> None:
    """The host does not ask in the stead of a container that has no way out."""
    host.create_network("n1", subnet="172.20.0.0/24", internal=True)
    host.run("c1", network="n1")
    with upstream(lan.lan) as server:
        assert question(host, "c1", "www.example").rcode() == dns.rcode.SERVFAIL
        assert found(host, "c1", "c1") == ["172.20.0.2"]
        assert server.asked == []


def test_a_server_of_dns_is_asked_from_the_container(host: Host) -> None:
    """Even on an internal network, where it may be a neighbour.

    It sees the container's own address.
    """
    host.create_network("n1", subnet="172.20.0.0/24", internal=True)
    box = host.run("server", network="n1")
    host.run("c1", network="n1", dns=(ip_address("127.0.0.11"), ip_address("172.20.0.2")))
    with upstream(host.namespace(box), "172.20.0.2") as server:
        assert found(host, "c1", "www.example") == [str(OUTSIDE)]
        assert server.asked == ["www.example. by 172.20.0.3"]


def test_a_server_on_the_hosts_loopback_is_asked(lan: Lab) -> None:
    """As systemd-resolved's stub is.

    The question goes out from the host, not from the container.
    """
    with lan.host(system=asking("127.0.0.53")) as host, upstream(lan.netns, "127.0.0.53") as server:
        host.create_network("n1", subnet="172.20.0.0/24")
        host.run("c1", network="n1")
        assert found(host, "c1", "www.example") == [str(OUTSIDE)]
        assert server.asked == ["www.example. by 127.0.0.1"]
        host.reset()


# -- when the agent dies --------------------------------------------------------------------


def agent_of(host: Host) -> int:
    """The pid of the agent."""
    pid, _ = agent_socket.running(host.layout.run)
    assert pid
    return pid


def kill_agent(host: Host) -> None:
    """Kill -9, and wait until it is gone."""
    pid = agent_of(host)
    os.kill(pid, signal.SIGKILL)
    until(lambda: all_dead(pid), "the agent is gone, with all its threads and sockets")


def all_dead(pid: int) -> bool:
    """Whether all threads of a process have ended, though nobody may have asked for its exit status
    yet."""
    try:
        return {
            stat.read_text().rpartition(")")[2].split()[0]
            for stat in Path(f"/proc/{pid}/task").glob("*/stat")
        } <= {"Z", "X"}
    except OSError:
        return True


def test_a_killed_agent_is_told_of_and_comes_back(site: Host, lan: Lab) -> None:
    """Under load: `check` says what is missing.

    The next command, whatever it is about, brings every name back on the same rules.
    """
    box, _ = two(site)
    before = within(site.namespace(box), "iptables-save -t nat; nft list ruleset", check=False)
    with load(site, "c1") as answered:
        until(lambda: answered, "the load has answers")
        kill_agent(site)
        missing = [str(drift) for drift in site.check()]
        assert {line.split()[1] for line in missing} == {"agent", "names", "resolver"}, missing
        site.create_network("n2", subnet="172.21.0.0/24")
        assert site.check() == []
        answered.clear()
        until(lambda: answered, "the load has answers again")
    assert broken(site) == []
    assert counted_out(
        within(site.namespace(box), "iptables-save -t nat; nft list ruleset", check=False)
    ) == counted_out(before)


def counted_out(rules: str) -> list[str]:
    """Rules without what they have counted, and without dates."""
    return [
        line.split(" [")[0].split("counter")[0]
        for line in rules.splitlines()
        if not line.startswith("#")
    ]


@contextmanager
def load(host: Host, name: str) -> Iterator[list[bytes]]:
    """Somebody who asks a container's server all the time, for at most a minute; the answers."""
    answers: list[bytes] = []
    over = threading.Event()
    query = dns.message.make_query("c2.", "A").to_wire()
    with entered(host.namespace(host.container(name))):
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(0.05)

    def shoot() -> None:
        for _ in range(1_000_000):
            if over.is_set():
                return
            with suppress(OSError):
                client.sendto(query, (SERVER, 53))
                answers.append(client.recv(512))

    thread = threading.Thread(target=shoot)
    thread.start()
    try:
        yield answers
    finally:
        over.set()
        thread.join()
        client.close()


def test_a_port_that_a_program_took_meanwhile_is_given_up(host: Host) -> None:
    """The rules are renewed.

    `repair` gives the server another port, and the program keeps its own.
    """
    box, _ = two(host)
    with ExitStack() as stack:
        kill_agent(host)
        with entered(host.namespace(box)):
            program = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            program.bind(("0.0.0.0", box.dns_udp))
        assert any("resolver" in str(drift) for drift in host.check())
        host.create_network("n2", subnet="172.21.0.0/24")
        assert [drift.thing for drift in host.check()] == [
            thing
            for thing in host.store.things()
            if isinstance(thing, Resolver) and thing.ns == host.namespace(box)
        ]
        host.repair()
        assert host.check() == []
        assert host.container("c1").dns_udp not in (0, box.dns_udp)
        assert broken(host) == []


def test_an_agent_that_is_killed_over_an_operation_comes_back_whole(lan: Lab) -> None:
    """It is started again for what fails or is taken back there.

    All else that it had is back with the next command.
    """
    with lan.host() as host:
        two(host)
        host.run("c3", network="n1", publish="8080:80")
        with lan.host(on_steps=lambda steps: kill_agent(host)) as unlucky, suppress(PlumbError):
            unlucky.run("c4", network="n1")
        host.create_network("n2", subnet="172.21.0.0/24")
        assert host.check() == []
        assert broken(host) == []
        host.reset()


def test_a_request_may_be_long(host: Host) -> None:
    """As many names as somebody likes: an agent that was killed gets them all back."""
    host.create_network("n1", subnet="172.20.0.0/24")
    aliases = tuple(f"alias-{number}-{'x' * 40}" for number in range(30))
    with host.operation() as verbs:
        for number in range(60):
            verbs.run(f"c{number}", network=Attachment("n1", aliases=aliases))
        verbs.run(
            "many",
            network=Attachment(
                "n1", aliases=tuple(f"name-{number}-{'x' * 40}" for number in range(25_000))
            ),
        )
    kill_agent(host)
    host.create_network("n2", subnet="172.21.0.0/24")
    assert host.check() == []
    assert found(host, "c1", f"name-24999-{'x' * 40}") == ["172.20.0.62"]


def test_a_sandbox_without_a_port_left_does_not_keep_others_from_being_mended(lan: Lab) -> None:
    """It goes without a server until it is started again; `repair` mends all else."""
    two_ports = replace(asking(labs.ROUTER), spare=partial(free_ports.ports, last=61001))
    with lan.host(system=two_ports) as host:
        box, _ = two(host)
        kill_agent(host)
        with ExitStack() as stack:
            with entered(host.namespace(box)):
                for number in (61000, 61001):
                    stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)).bind(
                        ("0.0.0.0", number)
                    )
            sh("iptables -F PLUMB")
            host.repair()
            assert host.check() == []
            assert host.container("c1").dns_udp == 0
            assert found(host, "c2", "c1") == ["172.20.0.2"]
        host.restart("c1")
        assert broken(host) == []
        host.reset()


def test_a_sandbox_that_lost_its_loopback_address_is_mended(host: Host) -> None:
    """The server's sockets need none to be opened."""
    box, _ = two(host)
    kill_agent(host)
    within(host.namespace(box), "ip addr flush dev lo; ip link set lo down")
    host.repair()
    assert broken(host) == []
    assert host.container("c1").dns_udp == box.dns_udp


def test_an_agent_is_there_as_long_as_somebody_needs_it(host: Host) -> None:
    """From the first container with names to the last."""
    host.run("c0")
    assert not agent_socket.running(host.layout.run)[0]
    two(host)
    pid = agent_of(host)
    host.remove("c1", force=True)
    assert agent_of(host) == pid
    host.remove("c2", force=True)
    assert not agent_socket.running(host.layout.run)[0]


@pytest.mark.parametrize(
    "command", ["ps", "network ls", "port", "inspect c1", "exec c1 getent hosts c2"]
)
def test_any_command_brings_the_agent_back(command: str, host: Host, lan: Lab) -> None:
    """Those that only read as well; only `check` leaves it, to say what is missing."""
    two(host)
    kill_agent(host)
    assert "missing: agent" in lan.plumb("check", status=1).stdout
    lan.plumb(*command.split())
    assert lan.plumb("check").stdout == ""
    assert broken(host) == []
