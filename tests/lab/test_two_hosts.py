"""examples/two_hosts.py, the second part of `make demo`: an overlay on two hosts, shown and taken
down."""

from __future__ import annotations

import re
from contextlib import redirect_stdout
from io import StringIO

import pytest

from examples import two_hosts

pytestmark = pytest.mark.needs("vxlan")


@pytest.fixture(scope="module")
def told() -> str:
    """Output of the demo, which has ended well."""
    with redirect_stdout(StringIO()) as printed:
        status = two_hosts.main()
    assert status == 0, printed.getvalue()
    return printed.getvalue()


def test_both_hosts_are_nodes(told: str) -> None:
    assert re.search(r"^h1 +Ready +Leader$", told, re.MULTILINE)
    assert re.search(r"^h2 +Ready *$", told, re.MULTILINE)


def test_a_name_resolves_across(told: str) -> None:
    assert re.search(r"^10\.50\.0\.4 +db$", told, re.MULTILINE)


def test_neighbour_and_fdb_entry_lead_to_the_other_host(told: str) -> None:
    assert "10.50.0.4 lladdr 02:42:0a:32:00:04 PERMANENT" in told
    assert "02:42:0a:32:00:04 dst 192.0.2.11" in told


def test_frames_have_two_headers(told: str) -> None:
    """Echo and reply, in VXLAN; what is encrypted shows the outer header alone."""
    inner = {
        "192.0.2.10 > 192.0.2.11": "10.50.0.2 > 10.50.0.4",
        "192.0.2.11 > 192.0.2.10": "10.50.0.4 > 10.50.0.2",
    }
    for outer in inner:
        (line,) = (line for line in told.splitlines() if line.startswith(outer))
        clear = rf"UDP 4789, VXLAN 4097 +{inner[outer]} ICMP$"
        secret = r"ESP spi 0x[0-9a-f]+ +\(encrypted\)$"
        assert re.search(clear if two_hosts.cannot_encrypt() else secret, line)


def test_it_says_whether_it_is_encrypted(told: str) -> None:
    head = told.splitlines()[0]
    assert ("in the clear" in head) == bool(two_hosts.cannot_encrypt())


@pytest.mark.needs("xfrm", "esp4", "aes-gcm", "mark", "policy", "bpf")
def test_where_the_kernel_can_it_is_encrypted(told: str) -> None:
    """The demo, and both directions on the wire."""
    assert "with encryption (ESP)" in told
    assert len(re.findall(r"^192\.0\.2\.1[01] > .* ESP spi 0x[0-9a-f]+ ", told, re.MULTILINE)) == 2
    assert "VXLAN 4097" not in told


def test_nothing_is_left(told: str) -> None:
    assert told.endswith("both hosts are as they were, and go.\n")
    assert "LEFT BEHIND" not in told
