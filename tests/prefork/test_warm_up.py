"""What the prefork server does before there is a command leaves no trace."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from plumb import frozen
from plumb.cli.reference import other_engines
from plumb.kernel.features import choices, detect
from plumb.kernel.netfilter import backends, iptables_restore, libnftables, nftables
from plumb.prefork import warm_up
from plumb.store import codec
from plumb.things import registry
from tests import REPOSITORY, forked

OF_THE_HOST = (
    backends.writer,
    nftables.writer,
    libnftables.nft,
    iptables_restore._command,
    detect.able,
    choices._attempt,
    other_engines._read,
)
"""What a process remembers of the host that it is on: a command's caller may be on another."""


def test_nothing_of_the_host_is_remembered() -> None:
    """Neither which firewall it has, nor what the kernel can do, nor whose containers there are."""
    for remembered in OF_THE_HOST:
        remembered.cache_clear()
    warm_up.warm_up()
    assert [remembered.cache_info().currsize for remembered in OF_THE_HOST] == [0] * 7


def test_nothing_is_left(lab: object) -> None:
    """No descriptor, no variable, no file."""
    before = (set(os.listdir("/proc/self/fd")), dict(os.environ))
    warm_up.warm_up()
    assert (set(os.listdir("/proc/self/fd")), dict(os.environ)) == before
    assert not os.path.exists(warm_up.NOWHERE)


def test_the_changes_are_made() -> None:
    """A change of the engine's interface would be noticed by nobody else."""
    warm_up._change()


@pytest.mark.parametrize("words", warm_up.LINES, ids=" ".join)
def test_a_line_is_one_that_ends_by_itself(words: tuple[str, ...]) -> None:
    """It prints something: a table, a document, or what it lacks; no traceback."""
    ran = forked.run(words, {**os.environ, "PLUMB_ROOT": warm_up.NOWHERE}, lambda: None)
    assert ran.stdout or ran.stderr.startswith("plumb: ")
    assert "Traceback" not in ran.stderr


def test_values_have_their_decoders_afterwards() -> None:
    """They are made once in the server, not in each of its forks."""
    codec._decoder.cache_clear()
    warm_up.warm_up()
    assert codec._decoder.cache_info().currsize > 20


def test_a_thing_of_any_kind_can_be_read_and_made_at_once() -> None:
    """A fork compiles nothing for it."""
    warm_up.warm_up()
    before = codec._decoder.cache_info().misses
    for kind in registry.KINDS.values():
        codec.decoder(kind)
    assert codec._decoder.cache_info().misses == before
    assert not frozen._NOT_COMPILED


def test_iptables_has_been_asked_for_its_version() -> None:
    """Each command would start a process for it."""
    if backends.variant() != "nf_tables":
        pytest.skip("iptables is of the legacy variant")
    iptables_restore._VERSIONS.clear()
    warm_up.warm_up()
    assert len(iptables_restore._VERSIONS) == 1


@pytest.mark.parametrize("variant", ["legacy", "nf_tables"])
def test_the_writer_of_this_hosts_iptables_is_loaded(variant: str) -> None:
    """Each command would import python-iptables, which starts a dozen processes for that."""
    script = (
        "import sys\nfrom plumb.kernel.netfilter import backends\n"
        "from plumb.prefork import server\n"
        f"backends.variant = lambda: {variant!r}\n"
        "server.load(); print('iptc' in sys.modules, server.LEGACY in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    assert ran.stdout.split() == [str(variant == "legacy")] * 2
