"""Values as JSON: what is written down is what is read back."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumb.frozen import replace
from plumb.model.cnm import Attachment, Endpoint, Network, Pool, Sandbox, Status
from plumb.model.driver_options import BridgeOptions, GatewayMode
from plumb.model.ports import Port, PortBinding
from plumb.model.settings import AddressPool, Settings
from plumb.store import codec
from plumb.things.host_ports import Agent, HostPort, Proxy
from plumb.things.iptables import Chain, Family, Policy, Position, Rule
from plumb.things.layer3 import Address, Route, Sysctl
from plumb.things.links import Bridge, Up, Veth
from plumb.things.sandbox import Directory, File, Namespace, Process

VALUES: list[Any] = [
    Network(
        "1" * 64,
        "n",
        "bridge",
        (
            Pool(
                ip_network("10.9.0.0/24"),
                ip_network("10.9.0.0/25"),
                ip_address("10.9.0.1"),
                (("a", ip_address("10.9.0.9")),),
                False,
            ),
            Pool(ip_network("fd09::/64")),
        ),
        ipv6=True,
        internal=True,
        options=(("k", "v"),),
        labels=(("l", ""),),
        bridge=BridgeOptions(
            "br9",
            mode6=GatewayMode.ROUTED,
            trusted=("eth0",),
            mtu=1400,
            host_ipv6=IPv6Address("fd00::9"),
        ),
        foreign=True,
        opens=(4, 6),
        created="now",
        number=-2,
    ),
    Sandbox(
        "2" * 64,
        "c",
        attachments=(
            Attachment("n", IPv4Address("10.9.0.5"), aliases=()),
            Attachment("m", aliases=None, gw_priority=-1),
        ),
        argv=("sh", "-c", "é\n"),
        ports=(PortBinding(80, "tcp"), PortBinding(53, "udp", ip_address("::1"), 1, 9)),
        dns=(ip_address("1.1.1.1"), ip_address("fd00::1")),
        links=(("i", "a"),),
        status=Status.RUNNING,
        exit_code=3,
    ),
    Endpoint(
        "3" * 64,
        "n",
        "c",
        "veth0",
        "eth0",
        "02:00:00:00:00:01",
        IPv4Interface("10.9.0.2/24"),
        IPv6Interface("fd09::2/64"),
        (ip_address("169.254.1.1"),),
        (("net/ipv4/conf/IFNAME/x", "1"),),
        5,
        7,
        (Port(80, "tcp", ip_address("::"), 8080),),
    ),
    Settings(
        default_address_pools=(AddressPool(ip_network("10.0.0.0/8"), 24),),
        default_network_opts=(("bridge", (("a", "b"),)),),
        mtu=1400,
        bip=IPv4Interface("10.77.0.1/24"),
        icc=False,
    ),
    Bridge("br0", "02:00:00:00:00:01", 1400),
    Veth("v", "br0", "eth0", "/ns", "02:00:00:00:00:02", hairpin=True),
    Up("lo", "/ns"),
    Address("eth0", IPv6Interface("fd09::2/64"), "/ns"),
    Sysctl("net/ipv4/ip_forward", "1"),
    Route(ip_network("0.0.0.0/0"), ip_address("10.9.0.1"), "eth0", "/ns"),
    Chain(Family.V6, "filter", "PLUMB-USER", users=True),
    Policy(Family.V4, "filter", "FORWARD", "DROP"),
    Rule(Family.V4, "nat", "POSTROUTING", "-s 10.9.0.0/24 -j MASQUERADE", Position.HEAD, "because"),
    Agent("/run"),
    HostPort("/run", "tcp", ip_address("::"), 8080, ip_address("10.9.0.2"), 80),
    Proxy("/run", "udp", ip_address("0.0.0.0"), 53, ip_address("10.9.0.2"), 53),
    Directory("/d"),
    File("/d/hosts", "127.0.0.1\tlocalhost\n"),
    Namespace("/ns"),
    Process("i", "/d", "/d", "/ns", ("a",), "h", ("CHOWN",), ("A=b",)),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_there_and_back(value: Any) -> None:
    """Every kind of value that is kept, with fields of every type, comes back equal and of the same
    types."""
    back = codec.loads(type(value), codec.dumps(value))
    assert back == value
    assert repr(back) == repr(value)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_text_is_that_of_a_json_encoder(value: Any) -> None:
    """To the last byte: another version of plumb, and a person, read what was always written."""
    assert codec.dumps(value) == codec.TEXT.encode(codec.plain(value))


def test_a_text_that_was_read_just_now_is_not_decoded_again() -> None:
    """Values are frozen: the one that the same text of the same type made last is returned."""
    text = codec.dumps(Sysctl("net/ipv4/ip_forward", "1"))
    (first,) = codec.decode_each(Sysctl, [text])
    assert codec.decode_rows([(Sysctl, text), (Up, codec.dumps(Up("eth0")))])[0] is first
    assert codec.decode_each(Sysctl, [codec.dumps(replace(first, value="0"))]) != [first]


def test_many_texts_are_not_kept() -> None:
    """A process that reads a whole record once does not keep it."""
    texts = [codec.dumps(Up(f"eth{number}")) for number in range(codec.FEW + 1)]
    once, twice = (codec.decode_each(Up, texts) for _ in range(2))
    assert once == twice
    assert once[0] is not twice[0]


def test_long_texts_are_not_kept() -> None:
    """Of which a few thousand would be much memory."""
    text = codec.dumps(Sysctl("net/ipv4/ip_forward", "1" * codec.LONG))
    assert codec.decode_each(Sysctl, [text]) == codec.decode_each(Sysctl, [text])
    assert (Sysctl, text) not in codec._READ


def test_another_thread_may_forget_what_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """All is forgotten at once where there is too much of it."""

    class Forgetful(dict[tuple[type, str], object]):
        def __contains__(self, row: object) -> bool:
            return super().pop(row, None) is not None  # type: ignore[call-overload]  # a row

    monkeypatch.setattr(codec, "_READ", Forgetful())
    text = codec.dumps(Up("eth0"))
    assert [codec.decode_each(Up, [text]) for _ in range(2)] == [[Up("eth0")]] * 2


def test_defaults_are_left_out() -> None:
    """So that a value of an earlier version reads as it was meant."""
    assert json.loads(codec.dumps(Network("1", "n", "bridge"))) == {
        "id": "1",
        "name": "n",
        "driver": "bridge",
    }
    assert codec.loads(Network, '{"id": "1", "name": "n", "driver": "bridge"}') == Network(
        "1", "n", "bridge"
    )


def test_what_equals_a_default_by_accident_is_kept() -> None:
    """A field without a default is always written, and an empty tuple is not None."""
    assert json.loads(codec.dumps(Network("", "", "")))["id"] == ""
    assert codec.loads(Attachment, codec.dumps(Attachment("n", aliases=()))).aliases == ()


def test_a_later_version_s_field_is_passed_over() -> None:
    """What is not known is not an error."""
    assert codec.loads(
        Network, '{"id": "1", "name": "n", "driver": "bridge", "colour": "red"}'
    ) == Network("1", "n", "bridge")


@given(st.text(), st.lists(st.tuples(st.text(), st.text())).map(tuple))
def test_any_text_there_and_back(name: str, labels: tuple[tuple[str, str], ...]) -> None:
    """Control characters, quotes, any plane of Unicode."""
    net = Network("1", name, "bridge", labels=labels)
    assert codec.loads(Network, codec.dumps(net)) == net


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_any_address_there_and_back(ip: IPv4Address | IPv6Address) -> None:
    """In its own family, however small its number."""
    box = Sandbox("1", "c", dns=(ip,))
    back = codec.loads(Sandbox, codec.dumps(box)).dns[0]
    assert (back, type(back)) == (ip, type(ip))


@pytest.mark.parametrize("text", ["10.0.0.0/33", "10.0.0.0/2_4", "10.0.0/24", "010.0.0.0/8"])
def test_a_text_that_is_no_subnet_is_refused(text: str) -> None:
    """As `ipaddress` refuses it, in its words."""
    with pytest.raises(ValueError, match="does not appear to be an IPv4 or IPv6 network"):
        codec.decode(Pool, {"subnet": text})
