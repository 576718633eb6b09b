"""Cut: each thing of a service is missed when it is taken away, by a client or by a name.

What no client can tell is in a table, with the reason. What was cut comes back by `repair`."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from plumb.model.service.virtual import VirtualService
from plumb.plan import Step
from plumb.things import Thing
from plumb.things.host_ports import Agent, HostPort
from plumb.things.iptables import Chain
from plumb.things.nftables import NftChain, NftTable
from tests import labs
from tests.host.service_hosts import N1, PORT, VIP, ServiceHost, ask
from tests.host.test_services import MEANS, balanced, lookup

pytestmark = pytest.mark.needs("vxlan")
UNSEEN = {
    r"-j RETURN$": "a chain ends by itself as well",
    r"--dport 8080 .*MASQUERADE|route_localnet": "seen by a client at 127.0.0.1 alone",
    r"sport 8080": "PLUMB-CT lets answers of the network pass too",
    r"ipvs timeouts": "seen after 900 seconds",
    r"-A mangle PLUMB-VS|--mode nth": "another slot is chosen, or the first",
    r"-p sctp|-p udp": "no client asks for those",
    r"10\.0\.0\.100": "the ingress network's own address is for no client",
    r"nat-prerouting-and-output": "the proxy serves the port as well, in the host's name",
    r"counter drop": "what is dropped is no port that anybody asks for",
}
"""Things that a cut of shows nothing here, by a pattern of their key, and why."""


@pytest.fixture(params=MEANS)
def whole(request: pytest.FixtureRequest) -> Iterator[ServiceHost]:
    """A service on n1 with a client, and with a published port."""
    with balanced(request.param) as made:
        made.join()
        made.start(2, "ingress", "n1", ports=(PORT,))
        made.run("c1", "n1")
        made.balance(made.service())
        made.balance(made.published())
        yield made


def served(host: ServiceHost) -> bool:
    """Whether every task answers on the address and on the port, and every name is known."""
    labs.within(host.inside("c1"), "ip neigh flush all")
    try:
        tasks = {ask(host.inside("c1"), VIP.ip, seconds=0.7).split()[0] for _ in range(4)}
        doors = {
            ask(place, ip, 8080, seconds=0.7).split()[0]
            for place, ip in (
                (host.lab.lan, labs.HOST_IP),
                (host.lab.netns, "127.0.0.1"),
                (host.lab.lan, labs.HOST_IP6),
                (host.lab.lan, labs.HOST_IP),
            )
        }
    except OSError:
        return False
    names = lookup(host, "web") == {str(VIP.ip)} and len(lookup(host, "tasks.web")) == 2
    return tasks == doors == {"web1", "web2"} and names


def worth(thing: Thing) -> bool:
    """Whether a cut of it is to be seen."""
    if isinstance(thing, Agent | HostPort | Chain | NftChain | NftTable) or thing.permanent:
        return False
    return not any(re.search(pattern, " ".join(thing.key)) for pattern in UNSEEN)


def test_each_thing_of_a_service_is_missed(whole: ServiceHost) -> None:
    """One after the other is taken away, and put back."""
    assert served(whole)
    unseen = []
    for one in whole.host.store.all(VirtualService):
        for thing in whole.host.store.things(f"vs:{one.id}"):
            if worth(thing):
                whole.host.kernel.take([Step(thing, None)])
                if served(whole):
                    where = "n1" if one.network == N1.id else "ingress"
                    unseen.append(f"{where}: {' '.join(thing.key)}")
                whole.host.repair()
    assert not unseen, "\n".join(unseen)
    assert served(whole)
