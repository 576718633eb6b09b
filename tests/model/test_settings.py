"""Settings: daemon.json's networking keys, and what is refused in them."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv4Interface, ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from plumb.errors import Invalid
from plumb.model import settings as settings_of
from plumb.model.settings import AddressPool, Settings


def read(**keys: Any) -> Settings:
    """Settings from keys, with _ for -."""
    return settings_of.from_mapping({key.replace("_", "-"): value for key, value in keys.items()})


def test_no_settings_are_docker_s_defaults() -> None:
    """An empty file says nothing."""
    assert settings_of.parse("", "file") == settings_of.parse("{}", "file") == Settings()


def test_the_keys_are_docker_s() -> None:
    """Each key becomes the field of its name."""
    found = read(
        bip="10.77.0.1/24",
        fixed_cidr="10.77.0.128/25",
        default_gateway="10.77.0.254",
        mtu=1400,
        icc=False,
        ip="127.0.0.1",
        default_address_pools=[{"base": "10.200.0.0/16", "size": 24}],
        dns=["1.1.1.1", "fd00::1"],
        dns_search=["lab"],
        default_network_opts={"bridge": {"com.docker.network.driver.mtu": "1450"}},
        userland_proxy=False,
        log_driver="local",
        log_opts={"max-size": "1m"},
    )
    assert found == Settings(
        bip=IPv4Interface("10.77.0.1/24"),
        fixed_cidr=ip_network("10.77.0.128/25"),  # type: ignore[arg-type]  # of IPv4
        default_gateway=IPv4Address("10.77.0.254"),
        mtu=1400,
        icc=False,
        ip=IPv4Address("127.0.0.1"),
        default_address_pools=(AddressPool(ip_network("10.200.0.0/16"), 24),),
        dns=found.dns,
        dns_search=("lab",),
        default_network_opts=(("bridge", (("com.docker.network.driver.mtu", "1450"),)),),
        userland_proxy=False,
        log_driver="local",
        log_opts=(("max-size", "1m"),),
    )


@pytest.mark.parametrize(
    ("text", "ip"), [("", "0.0.0.0"), ("::", "::"), ("::1", "::1"), ("::ffff:10.0.0.1", "10.0.0.1")]
)
def test_the_address_to_publish_on(text: str, ip: str) -> None:
    """Of either family; an empty one is the default."""
    assert read(ip=text).ip == ip_address(ip)


def test_a_bridge_that_is_a_subnet_by_itself() -> None:
    """A /32 has room for the bridge alone; dockerd takes it."""
    assert read(bip="10.77.0.1/32").bip == IPv4Interface("10.77.0.1/32")


def test_iptables_false_switches_masquerading_off() -> None:
    """As in Docker: without rules nothing can be masqueraded."""
    assert not read(iptables=False).ip_masq


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"mtuu": 1500}, "unknown setting 'mtuu'"),
        ({"iptables": "false"}, "invalid iptables 'false': it can be true or false"),
        ({"mtu": "1500"}, "it must be a number"),
        ({"mtu": True}, "it must be a number"),
        ({"mtu": 67}, "invalid mtu 67"),
        ({"bip": "10.77.0.0/24"}, "the bridge's own"),
        ({"bip": "10.77.0.1"}, "the bridge's own"),
        ({"bip": "fd00::1/64"}, "the bridge's own"),
        ({"fixed_cidr": "10.77.0.1/24"}, "it should be 10.77.0.0/24"),
        ({"fixed_cidr": "fd00::/64"}, "must be an IPv4 subnet"),
        ({"fixed_cidr_v6": "10.77.0.0/24"}, "must be an IPv6 subnet"),
        ({"fixed_cidr_v6": "fe80::/10"}, "link-local"),
        ({"fixed_cidr_v6": "ff00::/8"}, "multicast"),
        ({"default_address_pools": {"base": "10.0.0.0/8", "size": 24}}, "it must be a list"),
        ({"default_address_pools": [{"base": "10.0.0.0/16", "size": 8}]}, "smaller prefix"),
        ({"default_address_pools": [{"base": "10.0.0.0/16", "size": 33}]}, "invalid size 33"),
        ({"default_address_pools": [{"base": "10.0.0.0/16", "size": "24"}]}, "invalid size '24'"),
        ({"default_address_pools": [{"base": "10.0.0.0/16"}]}, "a pool is written"),
        (
            {"default_address_pools": [{"base": "10.0.0.1/16", "size": 24}]},
            "it should be 10.0.0.0/16",
        ),
        ({"firewall_backend": "pf"}, 'it can be "iptables"'),
        ({"bridge": "a/b"}, "link name"),
        ({"dns": "1.1.1.1"}, "it must be a list"),
        ({"dns": ["dns.example.org"]}, "invalid IP address"),
        ({"dns_search": [1]}, "it must be a string"),
        ({"ip": "::1%lo"}, "invalid ip"),
        ({"bip": "10.77.0.255/24"}, "the bridge's own"),
        ({"bip6": "fd00:77::/64"}, "the bridge's own"),
        ({"bip6": "10.77.0.1/24"}, "the bridge's own"),
        ({"dns_search": ["a b"]}, "not a valid domain"),
        ({"dns_opts": ["a\nb"]}, "one line"),
        ({"log_driver": "nosuch"}, "no log driver named 'nosuch'"),
        ({"log_opts": {"tag": "x"}}, "unknown log opt 'tag' for json-file log driver"),
        ({"log_opts": {"max-file": 3}}, "must be a string"),
        ({"host_gateway_ips": ["10.0.0.1", "10.0.0.2"]}, "only one IPv4 address"),
        ({"bridge_accept_fwmark": "x"}, "invalid bridge-accept-fwmark"),
        ({"bridge_accept_fwmark": "0x100000000"}, "32 bits"),
        ({"default_network_opts": {"bridge": "mtu"}}, "it is written"),
        ({"bip": None}, "it must be a string"),
    ],
)
def test_a_setting_that_makes_no_sense(keys: dict[str, Any], message: str) -> None:
    """Refused with the key, the value and what it should be."""
    with pytest.raises(Invalid, match=message):
        read(**keys)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"bridge": "br0", "bip": "10.77.0.1/24"}, "mutually exclusive"),
        ({"icc": False, "iptables": False}, "icc: false needs iptables"),
        ({"icc": False, "ipv6": True, "ip6tables": False}, "ip6tables"),
        ({"bridge": "br0", "bip6": "fd00:77::1/64"}, "mutually exclusive"),
        ({"bip": "10.77.0.1/24", "default_gateway": "10.78.0.1"}, "must be part of 10.77.0.0/24"),
    ],
)
def test_settings_that_do_not_go_together(keys: dict[str, Any], message: str) -> None:
    """Docker's own checks at its start."""
    with pytest.raises(Invalid, match=message):
        read(**keys)


@pytest.mark.parametrize("mark", ["0x1", "1", "0x1/0xff"])
def test_a_mark_is_written_as_iptables_prints_it(mark: str) -> None:
    """In hexadecimal, so that the rule reads back as it was written."""
    assert read(bridge_accept_fwmark=mark).bridge_accept_fwmark in ("0x1", "0x1/0xff")


def test_a_near_miss_is_named() -> None:
    """The hint is the key that was probably meant."""
    with pytest.raises(Invalid) as caught:
        read(userland_porxy=False)
    assert caught.value.hint == "did you mean userland-proxy?"


def test_a_default_option_that_no_network_could_have() -> None:
    """A label in default-network-opts is only looked at when a network is made.

    Then it is named like any other.
    """
    assert read(default_network_opts={"bridge": {"x": "y"}}).default_network_opts == (
        ("bridge", (("x", "y"),)),
    )


@pytest.mark.parametrize("text", ["[]", "1", '"x"', "{", "null", "{'a': 1}"])
def test_what_is_no_json_object(text: str) -> None:
    """The message names the file."""
    with pytest.raises(Invalid, match="the-file"):
        settings_of.parse(text, "the-file")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"mtu": ' + "9" * 5000 + "}"])
def test_json_that_python_will_not_read(text: str) -> None:
    """Too deep, or a number of too many digits."""
    with pytest.raises(Invalid):
        settings_of.parse(text, "file")


# -- where they come from ---------------------------------------------------------------


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    """A slip in --config is not the same as no settings."""
    with pytest.raises(Invalid, match="does not exist"):
        settings_of.load(str(tmp_path / "none.json"))


def test_the_environment_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PLUMB_CONFIG, unless a file is named."""
    for name, mtu in (("a", 1400), ("b", 1300)):
        (tmp_path / name).write_text(json.dumps({"mtu": mtu}))
    monkeypatch.setenv("PLUMB_CONFIG", str(tmp_path / "a"))
    assert settings_of.load().mtu == 1400
    assert settings_of.load(str(tmp_path / "b")).mtu == 1300


def test_the_usual_place_may_be_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a file there are Docker's defaults."""
    monkeypatch.delenv("PLUMB_CONFIG", raising=False)
    assert settings_of.load(usual=str(tmp_path / "none.json")) == Settings()


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    """Bytes that are no UTF-8, a folder."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for place in (tmp_path / "binary", tmp_path):
        with pytest.raises(Invalid, match="cannot be read"):
            settings_of.load(str(place))
