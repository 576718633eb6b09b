"""IPsec's states and policies, written and read, beside what `ip xfrm` says of them."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from plumb.drivers.overlay_encryption import spi_of
from plumb.kernel.features.detect import able
from plumb.kernel.linux import LinuxKernel
from plumb.plan import Step, StepFailed
from plumb.things import Thing
from plumb.things.ipsec import XfrmBlock, XfrmPolicy, XfrmState
from tests.labs import Lab, sh

HERE, THERE = ip_address("192.0.2.10"), ip_address("192.0.2.11")
HERE6, THERE6 = ip_address("fd00::10"), ip_address("fd00::11")
STATE = XfrmState(HERE, THERE, 0xABC09095, 7, "0f" * 16)
POLICIES: list[Thing] = [
    XfrmPolicy(HERE, THERE, 4789, 0xABC09095),
    XfrmPolicy(HERE6, THERE6, 4789, 0xABC09095),
    XfrmBlock(4789),
    XfrmBlock(4789, 6),
]

pytestmark = pytest.mark.needs("xfrm")


@pytest.mark.parametrize("thing", POLICIES, ids=str)
def test_a_policy_comes_is_read_and_goes(thing: Thing, lab: Lab) -> None:
    """It is read as it was written."""
    kernel = LinuxKernel()
    assert kernel.look([thing]) == [None]
    kernel.take([Step(None, thing)])
    assert kernel.look([thing]) == [thing]
    with pytest.raises(StepFailed):
        kernel.take([Step(None, thing)])
    kernel.take([Step(thing, None)])
    assert kernel.look([thing]) == [None]
    kernel.take([Step(thing, None)])


def test_a_policy_is_what_docker_s_is(lab: Lab) -> None:
    """As recorded: mark, port, template."""
    LinuxKernel().take([Step(None, POLICIES[0])])
    said = " ".join(sh("ip xfrm policy").split())
    assert said == (
        "src 192.0.2.10/32 dst 192.0.2.11/32 proto udp dport 4789 dir out priority 0 ptype main "
        "mark 0xd0c4e3/0xffffffff tmpl src 192.0.2.10 dst 192.0.2.11 proto esp spi "
        "0xabc09095 reqid 13681891 mode transport"
    )


def test_a_policy_moves_to_another_state_in_place(lab: Lab) -> None:
    """So there is no moment without one."""
    before = XfrmPolicy(HERE, THERE, 4789, 1)
    kernel, after = LinuxKernel(), replace(before, spi=2)
    kernel.take([Step(None, before), Step(before, after)])
    assert kernel.look([before]) == [after]


def test_what_is_marked_and_has_no_policy_is_blocked(lab: Lab) -> None:
    """And what is not marked is not."""
    sh(
        "ip link add d0 type veth peer name d1; ip addr add 192.0.2.10/24 dev d0;"
        "ip link set d0 up; ip link set d1 up"
    )
    LinuxKernel().take([Step(None, XfrmBlock(4789))])
    program = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM);"
        "s.setsockopt(socket.SOL_SOCKET, 36, {mark}); s.sendto(b'x', ('192.0.2.11', 4789))"
    )
    sh(f'python3 -c "{program.format(mark=0)}"')
    with pytest.raises(AssertionError, match=r"Operation not permitted|Network is unreachable"):
        sh(f'python3 -c "{program.format(mark=0xD0C4E3)}"')


def test_a_cipher_that_the_kernel_lacks_is_told_in_a_line(lab: Lab) -> None:
    """What is missing, and what would help; never the key."""
    if able("aes-gcm").able:
        pytest.skip("this kernel has the cipher")
    with pytest.raises(StepFailed, match=r"xfrm state 192.0.2.10 to 192.0.2.11") as refused:
        LinuxKernel().take([Step(None, STATE)])
    assert refused.value.hint
    assert STATE.secret not in f"{refused.value} {refused.value.hint} {STATE} {STATE!r}"


@pytest.mark.needs("esp4", "aes-gcm")
def test_a_state_comes_is_read_and_goes(lab: Lab) -> None:
    """Its key too."""
    kernel = LinuxKernel()
    kernel.take([Step(None, STATE)])
    assert kernel.look([STATE]) == [STATE]
    assert "aead rfc4106(gcm(aes))" in sh("ip xfrm state")
    kernel.take([Step(STATE, None)])
    assert kernel.look([STATE]) == [None]


def test_both_hosts_come_to_the_same_spi() -> None:
    """Of addresses and the key's number; another one for the other way, and for another key."""
    there, back = spi_of(HERE, 1, THERE), spi_of(THERE, 1, HERE)
    assert len({there, back, spi_of(HERE, 2, THERE)}) == 3
    assert there == spi_of(ip_address("192.0.2.10"), 1, ip_address("192.0.2.11"))
