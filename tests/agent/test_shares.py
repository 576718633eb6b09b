"""Fair shares of descriptors: who finds room, and who gives way to whom."""

from __future__ import annotations

import random
from itertools import count

import pytest

from plumb.agent.descriptors import CONTROL, LEAST, MAX_LIMIT, Budget
from plumb.agent.shares import NEVER, SILENCE, Bound, Lease, Party, Peer, Shares, peer_of

NOW = 1000.0


class Client(Lease):
    """A client that notes that it was closed."""

    __slots__ = ("closed",)

    def __init__(self, peer: Peer, now: float = NOW) -> None:
        super().__init__(peer, now)
        self.closed = False

    def shed(self) -> None:
        """Be closed."""
        self.closed = True


def come(party: Party, name: str = "192.0.2.1", now: float = NOW) -> Client | None:
    """A client that wants one descriptor."""
    peer = party.room(name, 1, now)
    return None if peer is None else Client(peer, now)


def fill(party: Party, name: str = "192.0.2.1", now: float = NOW) -> list[Client]:
    """Clients of one address, until one finds no room."""
    return list(iter(lambda: come(party, name, now), None))


def test_one_address_leaves_a_quarter_of_a_port_and_one_port_a_quarter_of_all() -> None:
    """So others find room, and nobody is closed for them."""
    shares = Shares(64)
    web, db = shares.party("web"), shares.party("db")

    assert len(fill(web, "192.0.2.1")) == 36
    assert all(come(web, "192.0.2.2") for _ in range(12))
    assert web.used == 48
    assert all(come(db) for _ in range(16))
    assert web.closed == db.closed == 0


def test_a_neighbour_gets_in_however_busy_the_greatest_is() -> None:
    """The greatest port's greatest address gives way, until they are equals."""
    shares = Shares(64, NEVER)
    attacked, web = shares.party("attacked"), shares.party("web")
    first = fill(attacked, "192.0.2.1")
    second = [come(attacked, "192.0.2.2") for _ in range(12)]
    third = shares.party("third")
    assert all(come(third) for _ in range(16))

    mine = [come(web) for _ in range(20)]

    assert all(mine)
    assert not any(client.closed for client in mine if client)
    assert sum(client.closed for client in first) == 20
    assert not any(client.closed for client in second if client), "the lesser address has all"
    assert third.used == 16


def test_in_the_end_all_have_the_same() -> None:
    """Many attackers, none of whom is ever silent."""
    shares = Shares(100, NEVER)
    parties = [shares.party(number) for number in range(10)]
    for _ in range(30):
        for party in parties:
            come(party)

    assert {party.used for party in parties} <= {9, 10, 11}
    assert shares.used == 100


def test_an_attacked_port_itself_serves_other_addresses() -> None:
    """Whose connections are fewer than the attacker's."""
    port = Shares(64, NEVER).party("web")
    fill(port, "192.0.2.1")
    assert all(come(port, "192.0.2.2") for _ in range(12))

    assert come(port, "192.0.2.3")
    assert port.greatest is not None
    assert port.greatest.name == "192.0.2.1"
    assert port.greatest.used == 35


def test_of_one_address_the_longest_silent_gives_way() -> None:
    """If it is silent for long enough, and another packet makes it a busy one again."""
    port = Shares(16).party("web")
    clients = fill(port)
    assert come(port, now=NOW + SILENCE / 2) is None
    clients[0].active = clients[2].active = NOW + SILENCE / 2

    assert come(port, now=NOW + SILENCE)
    assert [number for number, client in enumerate(clients) if client.closed] == [1]


def test_no_client_that_is_served_is_closed_for_one_of_the_same_address() -> None:
    """The newcomer is refused, and counted."""
    port = Shares(16).party("web")
    clients = fill(port)
    refused = port.hits[Bound.PEER]

    assert come(port, now=NOW + SILENCE * 0.9) is None
    assert not any(client.closed for client in clients)
    assert port.hits[Bound.PEER] == refused + 1


def test_among_many_addresses_with_one_each_a_silent_one_gives_way() -> None:
    """Though none has more than another, and those that are asked first are busy."""
    port = Shares(64).party("web")
    clients = [come(port, f"192.0.2.{number}") for number in range(48)]
    busy, silent = clients[:40], clients[40:]
    for client in busy:
        assert client is not None
        client.active = NOW + SILENCE

    assert [come(port, f"198.51.100.{number}", NOW + SILENCE) for number in range(3)][-1]
    assert not any(client.closed for client in busy if client)
    assert any(client.closed for client in silent if client)


def test_what_is_released_is_free_once() -> None:
    """Released twice, or closed for another and then released."""
    shares = Shares(16)
    port = shares.party("web")
    clients = fill(port)
    come(port, now=NOW + 1)
    for client in clients:
        client.release()
        client.release()

    assert shares.used == port.used == 1
    assert len(fill(port)) == 8


def test_the_numbers_agree_whatever_comes_and_goes() -> None:
    """A thousand random comings and goings among ten ports."""
    rng, shares, moment = random.Random(1), Shares(50), count()
    parties = [shares.party(number) for number in range(10)]
    there: list[Client] = []
    for _ in range(1000):
        if rng.random() < 0.7:
            client = come(rng.choice(parties), f"192.0.2.{rng.randrange(4)}", NOW + next(moment))
            there += [client] if client else []
        elif there:
            there.pop(rng.randrange(len(there))).release()
        there = [client for client in there if not client.closed]
        assert shares.used == len(there) == sum(party.used for party in parties) <= 50
        assert (shares.greatest.used if shares.greatest else 0) == max(
            party.used for party in parties
        )


@pytest.mark.parametrize(
    ("ip", "peer"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_a_peer_is_an_ipv4_address_or_a_64(ip: str, peer: str) -> None:
    """As one host has all addresses of an IPv6 network."""
    assert peer_of(ip) == peer


# -- the budget ---------------------------------------------------------------


@pytest.mark.parametrize("limit", [200, 1024, 4096, 20000, MAX_LIMIT])
def test_a_reserve_is_left_whatever_the_limit(limit: int) -> None:
    """For commands, pipes and new ports; what clients may have is divided among ports and DNS."""
    budget = Budget(limit)
    clients = budget.proxies.capacity + budget.names.capacity

    assert limit - clients >= limit // 4
    assert limit - clients >= CONTROL or limit < 1024
    assert budget.names.capacity == clients // 4


def test_promises_take_from_clients_and_clients_never_from_promises() -> None:
    """Half of the reserve stays free for the next port, while clients have anything to give."""
    budget = Budget(4096)
    before = budget.proxies.capacity + budget.names.capacity
    budget.promise(500)
    assert budget.proxies.capacity + budget.names.capacity == before
    budget.promise(500)
    assert 4096 - 1000 - budget.proxies.capacity - budget.names.capacity == (4096 - before) // 2
    budget.promise(5000)
    assert budget.proxies.capacity + budget.names.capacity == LEAST
    budget.promise(-6000)
    assert budget.proxies.capacity + budget.names.capacity == before


def test_a_capacity_that_shrinks_closes_the_greatests_clients() -> None:
    """When the next client comes."""
    shares = Shares(64)
    clients = fill(shares.party("web"))
    shares.capacity = 32

    assert come(shares.party("db"))
    assert shares.used == 32
    assert sum(client.closed for client in clients) == 36 - 31
