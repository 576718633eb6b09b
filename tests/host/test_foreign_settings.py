"""Foreign settings: what somebody else has set on links and in neighbour tables of plumb's.

`check` names each, with exit status 1 and the command that removes it; after that command it has
nothing to say."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from plumb import Host
from plumb.kernel.netfilter import backends
from tests import labs
from tests.host.trial_hosts import tried
from tests.labs import Lab

WRONG = "02:00:00:00:00:99"


@pytest.fixture
def shop(lab: Lab) -> Iterator[tuple[Lab, Host]]:
    """A dual-stack network br-shop with two containers, web and db."""
    with lab.host() as host:
        host.create_network(
            "shop",
            subnet=["10.9.0.0/24", "2001:db8:9::/64"],
            ipv6=True,
            options={"com.docker.network.bridge.name": "br-shop"},
        )
        for name in ("web", "db"):
            host.run(name, network="shop")
        yield lab, host
        host.reset()


def damage(shop: tuple[Lab, Host], command: str, box: str) -> None:
    """Run a shell line in the host, or in a container; {veth} is web's end in the host."""
    lab, host = shop
    line = command.format(veth=host.endpoints(host.container("web"))[0].link)
    lab.inside(host, box, line) if box else labs.sh(line)


FOREIGN = {
    "an MTU of a container": (
        "ip link set eth0 mtu 1400",
        "web",
        "foreign: web: MTU 1400 of eth0, which was given 1500",
    ),
    "an MTU of the host's end": ("ip link set {veth} mtu 1400", "", "foreign: host: MTU 1400 of "),
    "an address": (
        "ip address add 10.9.0.77/24 dev eth0",
        "web",
        "foreign: web: address 10.9.0.77/24 on eth0",
    ),
    "an IPv6 address": (
        "ip address add 2001:db8:9::77/64 dev eth0",
        "web",
        "foreign: web: address 2001:db8:9::77/64 on eth0",
    ),
    "a neighbour of a container": (
        f"ip neigh replace 10.9.0.3 lladdr {WRONG} nud permanent dev eth0",
        "web",
        f"foreign: web: permanent neighbour entry 10.9.0.3 lladdr {WRONG} on eth0",
    ),
    "a container's gateway": (
        f"ip neigh replace 10.9.0.1 lladdr {WRONG} nud permanent dev eth0",
        "web",
        f"foreign: web: permanent neighbour entry 10.9.0.1 lladdr {WRONG} on eth0",
    ),
    "a neighbour of the host's": (
        f"ip neigh replace 2001:db8:9::2 lladdr {WRONG} nud permanent dev br-shop",
        "",
        f"foreign: host: permanent neighbour entry 2001:db8:9::2 lladdr {WRONG} on br-shop",
    ),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_foreign_settings_are_named_with_a_remedy(what: str, shop: tuple[Lab, Host]) -> None:
    """`check` names the setting, and the command that it prints removes it."""
    command, box, said = FOREIGN[what]
    assert tried(shop[0], "check") == (0, "")
    damage(shop, command, box)
    status, printed = tried(shop[0], "check")
    assert (status, printed.startswith(said), printed.count("\n")) == (1, True, 2), printed

    labs.sh(printed.splitlines()[1])
    assert tried(shop[0], "check") == (0, "")


HARMLESS = {
    "a right neighbour": "ip neigh replace 10.9.0.1 lladdr {mac} nud permanent dev eth0",
    "a neighbour of nobody": f"ip neigh replace 10.9.0.99 lladdr {WRONG} nud permanent dev eth0",
    "an entry that ages": f"ip neigh replace 10.9.0.3 lladdr {WRONG} nud stale dev eth0",
    "a leased address": "ip address add 10.9.0.78/24 dev eth0 valid_lft 900 preferred_lft 900",
    "an address of the link alone": "ip address add 169.254.9.9/16 dev eth0 scope link",
    "a link of its own": "ip link add tun9 mtu 1400 type veth; ip a add 10.8.0.1/24 dev tun9",
}


@pytest.mark.parametrize("what", HARMLESS)
def test_settings_that_are_harmless(what: str, shop: tuple[Lab, Host]) -> None:
    """What does not change the way of packets to addresses of plumb's is no finding."""
    lab, host = shop
    mac = json.loads(labs.sh("ip -j link show br-shop"))[0]["address"]
    lab.inside(host, "web", HARMLESS[what].format(mac=mac))

    assert tried(lab, "check") == (0, "")


def test_a_given_mtu_is_not_foreign(lab: Lab) -> None:
    """A network's option is what its containers' links are held against."""
    with lab.host() as host:
        host.create_network("small", options={"com.docker.network.driver.mtu": "1300"})
        host.run("web", network="small")
        assert tried(lab, "check") == (0, "")
        lab.inside(host, "web", "ip link set eth0 mtu 1500")
        (found,) = [json.loads(line) for line in tried(lab, "check", "--json")[1].splitlines()]
        host.reset()

    assert (found["State"], found["Where"]) == ("foreign", "web")
    assert found["Thing"] == "MTU 1500 of eth0, which was given 1300"
    assert found["Advice"][0].endswith(" ip link set dev eth0 mtu 1300")


@pytest.mark.parametrize("variant", ["nf_tables", "legacy"])
@pytest.mark.parametrize("where", ["PLUMB-FORWARD", "PLUMB-CT", "PLUMB"])
def test_rules_in_plumbs_own_chains(
    where: str, variant: str, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rule that the record does not have is named; those in PLUMB-USER are the user's."""
    monkeypatch.setenv("PLUMB_IPTABLES", variant)
    backends.writer.cache_clear()
    tool = f"iptables-{variant.removesuffix('_tables').replace('nf', 'nft')}"
    with lab.host() as host:
        host.run("web", publish="8080:80")
        labs.sh(f"{tool} -I PLUMB-USER -s 192.0.2.0/24 -j DROP")
        assert host.foreign_settings() == []
        labs.sh(f"{tool} -I {where} -d 172.17.0.2/32 -j DROP")
        (found,) = host.foreign_settings()
        labs.sh(found.remedy)
        assert host.foreign_settings() == []
        host.reset()
    backends.writer.cache_clear()

    assert f"rule -A {where} -d 172.17.0.2/32 -j DROP in {tool} table filter" in str(found)


def test_objects_in_plumbs_own_tables_of_nftables(lab: Lab) -> None:
    """Rules, chains and map elements that the record does not have are named, with a remedy."""
    table = "ip plumb-bridges"
    foreign = {
        f"insert rule {table} filter-FORWARD ip daddr 192.0.2.9 counter drop": (
            f"foreign: host: rule ip daddr 192.0.2.9 counter drop in chain filter-FORWARD of"
            f" table {table}, which is plumb's"
        ),
        f"add chain {table} theirs {{ type filter hook forward priority 5; policy drop; }}": (
            f"foreign: host: chain theirs in table {table}, which is plumb's"
        ),
        f'add element {table} filter-forward-in-jumps {{ "br-x" : drop }}': (
            f'foreign: host: element "br-x" of map filter-forward-in-jumps in table {table},'
            " which is plumb's"
        ),
    }
    labs.sh("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
    with lab.host(settings={"firewall-backend": "nftables"}) as host:
        host.run("web", publish="8080:80")
        assert host.foreign_settings() == []
        for command, told in foreign.items():
            labs.sh(f"nft '{command}'")
            found = host.foreign_settings()
            for each in found:
                labs.sh(each.remedy)
            assert [str(each) for each in found] == [told]
            assert host.foreign_settings() == []
            assert host.check() == []
        host.reset()
