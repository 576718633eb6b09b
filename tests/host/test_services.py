"""Services on one host: a virtual address and published ports, with real traffic."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Interface

import dns.message
import dns.query
import dns.rcode
import pytest

from plumb.engine.cluster import node
from plumb.errors import PlumbError
from plumb.frozen import replace
from plumb.kernel.netns.namespaces import entered
from plumb.kernel.system import this_system
from plumb.model.cnm import Network
from plumb.model.service.virtual import Balancing, VirtualService
from tests import labs
from tests.fake_cluster import INGRESS
from tests.host.service_hosts import N1, PORT, VIP, ServiceHost, ask, counted, even, service_host

pytestmark = pytest.mark.needs("vxlan")
INGRESS_OWN = "10.0.0.2"
IPVS = pytest.mark.needs("ipvs", "ipvs-rr", "xt_ipvs")
MEANS = [
    pytest.param("iptables", marks=pytest.mark.needs("statistic")),
    pytest.param("nftables", marks=pytest.mark.needs("nft_numgen")),
    pytest.param("ipvs", marks=IPVS),
]
"""Means of balancing, and of the ingress mesh's rules."""
EVEN = {"web1": 1, "web2": 1, "web3": 1}


@contextmanager
def balanced(means: str, nets: Sequence[Network] = ()) -> Iterator[ServiceHost]:
    """A host that balances by IPVS, or by rules of iptables or nftables."""
    system = replace(this_system(), has_ipvs=lambda: means == "ipvs")
    backend = "nftables" if means == "nftables" else "iptables"
    with service_host(system, nets, firewall_backend=backend) as made:
        yield made


@pytest.fixture(params=MEANS)
def here(request: pytest.FixtureRequest) -> Iterator[ServiceHost]:
    """A host with three tasks of web on n1, and a client c1."""
    with balanced(request.param) as made:
        made.start(3)
        made.run("c1", "n1")
        made.balance(made.service())
        yield made


@pytest.fixture(params=MEANS)
def door(request: pytest.FixtureRequest) -> Iterator[ServiceHost]:
    """A host with two tasks of web, whose port 80 is published as 8080."""
    with balanced(request.param) as made:
        made.join()
        made.start(2, "ingress", ports=(PORT,))
        made.balance(made.published())
        yield made


# -- the virtual address ---------------------------------------------------------------


def test_connections_go_to_the_tasks_in_turn(here: ServiceHost) -> None:
    """Each of three tasks gets every third, by TCP and UDP."""
    assert counted(here.inside("c1"), VIP.ip, 9) == {"web1": 3, "web2": 3, "web3": 3}
    assert counted(here.inside("c1"), VIP.ip, 9, kind="udp") == {"web1": 3, "web2": 3, "web3": 3}


def test_a_task_sees_the_balancer(here: ServiceHost) -> None:
    """Its address is the client's, so that the answer comes back that way."""
    balancer = here.host.endpoints(here.host.network("n1"))[1]
    assert ask(here.inside("c1"), VIP.ip).split()[1] == str(balancer.ips[0].ip)


def test_a_task_reaches_all_of_its_own_service(here: ServiceHost) -> None:
    """Itself among them."""
    assert counted(here.inside("web1"), VIP.ip, 6) == {"web1": 2, "web2": 2, "web3": 2}


def test_the_balancer_answers_pings(here: ServiceHost) -> None:
    """The address is one of its own; a ping is no connection."""
    assert "1 received" in here.lab.inside(here.host, "c1", f"ping -c1 -W10 {VIP.ip}")


def test_a_port_without_a_server_is_refused(here: ServiceHost) -> None:
    """By the task, at once."""
    with pytest.raises(ConnectionRefusedError):
        ask(here.inside("c1"), VIP.ip, port=82)


@pytest.mark.parametrize("balancing", [Balancing.RR, Balancing.RANDOM])
def test_three_thousand_connections_are_spread_evenly(
    here: ServiceHost, balancing: Balancing
) -> None:
    """Within a tenth of an even share."""
    here.balance(here.service(balancing=balancing))
    found = counted(here.inside("c1"), VIP.ip, 3000)
    assert even(found, EVEN, 0.1), found


def test_weights_are_shares(here: ServiceHost) -> None:
    """Of 2, 1 and 1."""
    weighted = here.backends("n1", web1=20, web2=10, web3=10)
    here.balance(here.service(balancing=Balancing.WRR, backends=weighted))
    assert counted(here.inside("c1"), VIP.ip, 40) == {"web1": 20, "web2": 10, "web3": 10}


def test_a_client_stays_with_one_task_by_its_address(here: ServiceHost) -> None:
    """Every connection of one client; not all clients go to the same task."""
    here.balance(here.service(balancing=Balancing.SH))
    found = [counted(here.inside(name), VIP.ip, 20) for name in ("c1", "web1", "web2", "web3")]
    assert all(len(answers) == 1 for answers in found)


def test_a_task_without_weight_gets_no_new_connection(here: ServiceHost) -> None:
    """And keeps those that it has: it drains."""
    with entered(here.inside("c1")):
        held: dict[str, socket.socket] = {}
        while len(held) < 3:
            client = _connected(str(VIP.ip))
            name = client.recv(64).decode().split()[0]
            held.setdefault(name, client)
    here.balance(here.service(backends=here.backends("n1", web2=0)))

    assert set(counted(here.inside("c1"), VIP.ip, 20)) == {"web1", "web3"}
    held["web2"].send(b"more")
    assert held["web2"].recv(64) == b"web2 again\n"
    for client in held.values():
        client.close()


def test_a_task_takes_the_place_of_another(here: ServiceHost) -> None:
    """The others are not touched: of their rules none changes."""
    first, second, third = here.backends("n1")
    here.balance(here.service(backends=(first, second)))
    assert set(counted(here.inside("c1"), VIP.ip, 8)) == {"web1", "web2"}
    here.balance(here.service(backends=(first, third)))
    assert counted(here.inside("c1"), VIP.ip, 8) == {"web1": 4, "web3": 4}


def test_a_client_of_udp_does_not_stay_with_a_task_that_is_gone(here: ServiceHost) -> None:
    """It sends from the same port all the time; as long as its task drains, it keeps it."""
    with entered(here.inside("c1")), socket.socket(type=socket.SOCK_DGRAM) as client:
        client.settimeout(10)
        client.connect((str(VIP.ip), 80))
        first = _said(client)
        here.balance(here.service(backends=here.backends("n1", **{first: 0})))
        assert _said(client) == first
        others = tuple(end for end in here.backends("n1") if end.task != first)
        here.balance(here.service(backends=others))
        assert _said(client) in {end.name for end in others}


def _said(client: socket.socket) -> str:
    client.send(b"hello")
    return client.recv(64).decode().split()[0]


def test_a_service_without_tasks_has_no_address(here: ServiceHost) -> None:
    """Nor anything else in the balancer."""
    here.balance(here.service(backends=()))
    assert str(VIP.ip) not in labs.within(_balancer(here), "ip addr")


def test_nothing_remains_of_a_service(here: ServiceHost) -> None:
    """Its rules, its marks and its address go with it."""
    before = labs.within(_balancer(here), "ip addr; iptables-save; nft list ruleset")
    assert str(VIP.ip) in before
    net = here.host.network("n1")
    node.balance(here.host, net.id, ())
    after = labs.within(_balancer(here), "ip addr; iptables-save; nft list ruleset")
    assert not [word for word in (str(VIP.ip), "VS-", "vs-", "services") if word in after]


def test_two_services_have_marks_of_their_own(here: ServiceHost) -> None:
    """And addresses, which lead to their own tasks."""
    backends = here.backends("n1")
    other = here.service(
        service="other", name="other", ip=IPv4Interface("10.50.0.101/24"), backends=backends[:1]
    )
    here.balance(here.service(backends=backends[1:]), other)
    assert set(counted(here.inside("c1"), VIP.ip, 4)) == {"web2", "web3"}
    assert set(counted(here.inside("c1"), "10.50.0.101", 4)) == {"web1"}


# -- names ---------------------------------------------------------------


def lookup(here: ServiceHost, name: str, kind: str = "A") -> set[str] | str:
    """The addresses of a name in c1, or the answer's error."""
    with entered(here.inside("c1")):
        answer = dns.query.udp(dns.message.make_query(f"{name}.", kind), "127.0.0.11", timeout=10)
    if answer.rcode() != dns.rcode.NOERROR:
        return dns.rcode.to_text(answer.rcode())
    return {str(item) for found in answer.answer for item in found}


def test_names_of_a_service(here: ServiceHost) -> None:
    """Its own and its aliases are the virtual address; tasks.NAME is all tasks."""
    here.balance(here.service(aliases=("www",)))
    tasks = {str(end.ip.ip) for end in here.backends("n1")}
    assert lookup(here, "web") == lookup(here, "www") == lookup(here, "web.n1") == {str(VIP.ip)}
    assert lookup(here, "tasks.web") == lookup(here, "tasks.www") == tasks
    assert lookup(here, "web", "AAAA") == set()


def test_a_named_port_has_an_srv_record(here: ServiceHost) -> None:
    """Its target is the service, by a name that has the virtual address."""
    here.balance(here.service(named_ports=(replace(PORT, name="http"),)))
    assert lookup(here, "_http._tcp.web", "SRV") == {"0 0 80 web.n1."}
    assert lookup(here, "web.n1") == {str(VIP.ip)}


def test_dnsrr_has_no_virtual_address(here: ServiceHost) -> None:
    """Its name is all tasks that are to be named."""
    first, *others = here.backends("n1")
    here.balance(here.service(ip=None, backends=(replace(first, named=False), *others)))
    assert lookup(here, "web") == lookup(here, "tasks.web") == {str(end.ip.ip) for end in others}


def test_a_service_scaled_to_nothing_is_known(here: ServiceHost) -> None:
    """Nobody outside is asked for a private name: the answer is empty, and no error."""
    here.balance(here.service(backends=()))
    assert lookup(here, "web") == lookup(here, "tasks.web") == set()


def test_a_tasks_reverse_name_is_its_containers(here: ServiceHost) -> None:
    """And the virtual address has none."""
    first = here.backends("n1")[0].ip.ip
    assert lookup(here, first.reverse_pointer, "PTR") == {"web1.n1."}


# -- ingress ---------------------------------------------------------------


def test_a_published_port_leads_to_all_tasks(door: ServiceHost) -> None:
    """From outside, and from the host by its address and by 127.0.0.1."""
    two = {"web1": 2, "web2": 2}
    assert counted(door.lab.lan, labs.HOST_IP, 4, 8080) == two
    assert counted(door.lab.netns, labs.HOST_IP, 4, 8080) == two
    assert counted(door.lab.netns, "127.0.0.1", 4, 8080) == two


def test_an_ipv6_client_of_a_published_port_is_served(door: ServiceHost) -> None:
    """By the host's proxy; in Docker it hangs."""
    assert set(counted(door.lab.lan, labs.HOST_IP6, 4, 8080)) == {"web1", "web2"}
    assert set(counted(door.lab.netns, "::1", 4, 8080)) == {"web1", "web2"}


def test_a_task_sees_the_ingress_balancer(door: ServiceHost) -> None:
    """Whoever asks."""
    assert ask(door.lab.lan, labs.HOST_IP, 8080).split()[1] == INGRESS_OWN


def test_a_task_is_closed_on_ingress_but_for_its_port(door: ServiceHost) -> None:
    """And it begins nothing there."""
    own, other = (str(end.ip.ip) for end in door.backends("ingress"))
    with entered(door.lab.netns):
        sandbox = door.host.layout.namespace("ingress_sbox")
    assert ask(sandbox, own) == f"web1 {INGRESS_OWN}"
    for place, ip, port in ((sandbox, own, 81), (door.inside("web1"), other, 80)):
        with entered(place), pytest.raises(TimeoutError):
            socket.create_connection((ip, port), timeout=0.5)


def test_the_port_is_held(door: ServiceHost) -> None:
    """No other program of the host gets it."""
    with entered(door.lab.netns), pytest.raises(OSError, match="in use"):
        _bound(8080)


def test_nothing_of_a_published_port_remains(door: ServiceHost) -> None:
    """No rule, no setting, no socket: the host is as it was before the first such service."""
    setting = "net.ipv4.conf.plumb_gwbridge.route_localnet"
    see = f"iptables-save; nft list ruleset; sysctl {setting}; ss -ltnu"
    held = labs.within(door.lab.netns, see)
    assert "8080" in held
    node.balance(door.host, door.host.network("ingress").id, ())
    left = labs.within(door.lab.netns, see)
    assert "8080" not in left
    assert "PLUMB-INGRESS" not in left
    assert "route_localnet = 0" in left


def test_a_port_that_another_program_has(door: ServiceHost) -> None:
    """The service that wants it is refused, and the others go on."""
    taken = replace(PORT, published=8081)
    other = VirtualService(
        "other",
        door.host.network("ingress").id,
        "other",
        ip=IPv4Interface("10.0.0.101/24"),
        ports=(taken,),
        backends=door.backends("ingress"),
    )
    third = replace(
        other,
        service="third",
        ip=IPv4Interface("10.0.0.102/24"),
        ports=(replace(PORT, published=8082),),
    )
    with entered(door.lab.netns):
        holder = _bound(8081)
    with pytest.raises(PlumbError, match="8081"):
        node.balance(door.host, other.network, (door.published(), other, third))
    assert set(counted(door.lab.lan, labs.HOST_IP, 4, 8080)) == {"web1", "web2"}
    holder.close()
    node.balance(door.host, other.network, (door.published(), other, third))


def _balancer(here: ServiceHost) -> str:
    net = here.host.network("n1")
    return here.host.layout.namespace(f"lb_{net.id}")


def _connected(ip: str, port: int = 80) -> socket.socket:
    return socket.create_connection((ip, port), timeout=10)


def _bound(port: int) -> socket.socket:
    return socket.create_server(("0.0.0.0", port))


# -- the client's own address ---------------------------------------------------------------


@pytest.fixture(params=MEANS)
def open_door(request: pytest.FixtureRequest) -> Iterator[ServiceHost]:
    """The same as `door`, with an ingress network that keeps the client's address."""
    kept = replace(INGRESS.overlay, preserve_source=True)
    with balanced(request.param, (N1, replace(INGRESS, attachable=True, overlay=kept))) as made:
        made.join()
        made.start(2, "ingress", ports=(PORT,))
        made.balance(made.published())
        yield made


def test_a_task_sees_the_client_of_a_published_port(open_door: ServiceHost) -> None:
    """From outside: its own address, whichever task it is."""
    found = {ask(open_door.lab.lan, labs.HOST_IP, 8080) for _ in range(4)}
    assert found == {f"web{number} {labs.ROUTER}" for number in (1, 2)}


def test_the_host_and_ipv6_clients_are_served_too(open_door: ServiceHost) -> None:
    """They are seen as the host, which speaks for them."""
    for place, ip in (
        (open_door.lab.netns, labs.HOST_IP),
        (open_door.lab.netns, "127.0.0.1"),
        (open_door.lab.lan, labs.HOST_IP6),
    ):
        assert ask(place, ip, 8080).split()[1] in ("172.18.0.1", labs.HOST_IP)


# -- what IPVS alone can do ---------------------------------------------------------------


@IPVS
def test_the_task_with_the_fewest_connections_gets_the_next() -> None:
    """Connections that are held count: three new ones go to the other task."""
    with balanced("ipvs") as made:
        made.start(2)
        made.run("c1", "n1")
        made.balance(made.service(balancing=Balancing.LC, backends=made.backends("n1", web2=0)))
        with entered(made.inside("c1")):
            held = [_connected(str(VIP.ip)) for _ in range(3)]
            assert {client.recv(64).split()[0] for client in held} == {b"web1"}
            made.balance(made.service(balancing=Balancing.LC))
            more = [_connected(str(VIP.ip)) for _ in range(3)]
            assert {client.recv(64).split()[0] for client in more} == {b"web2"}
        for client in (*held, *more):
            client.close()
