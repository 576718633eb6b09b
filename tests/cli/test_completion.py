"""Completion: what `plumb complete` offers, and the script in a bash."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests import REPOSITORY, labs
from tests.labs import Lab


@pytest.fixture(scope="module")
def shop() -> Iterator[Lab]:
    """A lab with networks and containers. Nobody changes it."""
    with labs.lab() as made:
        made.plumb("network", "create", "shop")
        made.plumb("network", "create", "bank")
        made.plumb("run", "-d", "--name", "web", "--network", "shop")
        made.plumb("create", "--name", "worker")
        yield made


def offered(lab: Lab, *words: str) -> list[str]:
    """The words that the last one can become."""
    lines = lab.plumb("complete", "--", *words).stdout.splitlines()
    return [line.partition("\t")[0] for line in lines]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["net"], ["network"]),
        (["sto"], ["stop"]),
        (["network", "con"], ["connect"]),
        (["container", "pru"], ["prune"]),
        (["network", "create", "--inte"], ["--internal"]),
        (["network", "create", "--interna", ""], []),
        (["network", "connect", ""], ["bank", "bridge", "host", "none", "shop"]),
        (["network", "connect", "shop", "w"], ["web", "worker"]),
        (["network", "rm", "bank", "b"], ["bridge"]),
        (["rm", "-f", ""], ["web", "worker"]),
        (["rm", "web", "w"], ["worker"]),
        (["container", "rm", "wo"], ["worker"]),
        (["exec", "w"], ["web"]),
        (["start", "w"], ["worker"]),
        (["inspect", "--type", "net"], ["network"]),
        (["run", "-d", "--network", "s"], ["shop"]),
        (["run", "--network=s"], ["--network=shop"]),
        (["run", "--network", "=", "s"], ["shop"]),
        (["run", "--network", "="], ["bank", "bridge", "host", "none", "shop"]),
        (["--config", "/nosuch", "netw"], ["network"]),
        (["swarm", "join-token", "--ro"], ["--rotate"]),
    ],
)
def test_a_word_is_completed(shop: Lab, words: list[str], found: list[str]) -> None:
    """Verbs, flags, their values, networks, containers in the state that the verb needs."""
    assert offered(shop, *words) == found


@pytest.mark.parametrize(
    "words",
    [["nosuch", ""], ["run", "-m", ""], ["network", "nosuch", "x", ""], ["run", "web", "-"], [""]],
)
def test_what_cannot_be_completed_is_no_error(shop: Lab, words: list[str]) -> None:
    """A refused flag, an unknown verb: nothing on stderr, which is the user's command line."""
    ran = shop.plumb("complete", "--", *words)
    assert ran.stderr == ""


def test_a_candidate_comes_with_its_help(shop: Lab) -> None:
    """Behind a tab; a network with its driver, a container with its state."""
    assert shop.plumb("complete", "--", "net").stdout == "network\tManage networks\n"
    assert "web\trunning\n" in shop.plumb("complete", "--", "rm", "").stdout


def in_bash(lab: Lab, *words: str) -> list[str]:
    """What bash offers for the last word, by the script."""
    script = (
        f'plumb() {{ {sys.executable} -m plumb "$@"; }}; source <(plumb completion bash); '
        f"COMP_WORDS=(plumb {' '.join(map(repr, words))}); COMP_CWORD={len(words)}; "
        '$(complete -p plumb | sed "s/.*-F \\([^ ]*\\).*/\\1/"); printf "%s\\n" "${COMPREPLY[@]}"'
    )
    ran = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PLUMB_ROOT": str(lab.root), "PYTHONPATH": str(REPOSITORY)},
    )
    assert ran.stderr == ""
    return ran.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_with_the_script(shop: Lab) -> None:
    """Verbs, then a network, then a flag."""
    assert in_bash(shop, "netw") == ["network"]
    assert in_bash(shop, "network", "connect", "sh") == ["shop"]
    assert in_bash(shop, "run", "--network", "=", "b") == ["bank", "bridge"]
    assert in_bash(shop, "network", "ls", "--no-t") == ["--no-trunc"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_has_no_mistake_in_its_syntax(shop: Lab, shell: str) -> None:
    """Where that shell is installed."""
    script = shop.plumb("completion", shell).stdout
    assert "complete -- " in script
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True)
