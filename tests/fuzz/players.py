"""Engines that play a scenario: plumb on each of its firewalls, and a Docker Engine."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from tests import labs
from tests.conformance.texts import Answer
from tests.foreign.dockerd import PATH, Dockerd
from tests.fuzz.scenarios import IMAGE
from tests.host.test_published_ports import FIREWALLS, FORWARDS

KERNEL = ("links", "addresses", "routes", "listeners")
"""What the kernel must have alike, whatever writes the rules."""


class Played(NamedTuple):
    """What came of a scenario: the answers, and what the host had at its end."""

    answers: list[Answer]
    kernel: Mapping[str, list[str]]


Player = Callable[[Sequence[str]], Played]


def on_firewall(name: str) -> Player:
    """A player with plumb on a fresh host with that firewall."""

    def play(lines: Sequence[str]) -> Played:
        firewall = FIREWALLS[name]
        with labs.iptables(firewall.iptables), labs.lab(lan=True) as lab:
            labs.sh(FORWARDS)
            lab.root.mkdir()
            (lab.root / "daemon.json").write_text(json.dumps(firewall.settings))
            settings = {"PLUMB_CONFIG": str(lab.root / "daemon.json")}
            bare = labs.state()
            answers = [_by_plumb(lab, line, settings) for line in lines]
            kernel = {part: labs.state()[part] for part in KERNEL}
            lab.plumb("reset", "--force", env=settings)
            left = labs.state()
            assert left == bare, f"left behind by plumb on {name}"
            return Played(answers, kernel)

    return play


def _by_plumb(lab: labs.Lab, line: str, settings: dict[str, str]) -> Answer:
    argv = [word for word in shlex.split(line) if word != IMAGE]
    ran = lab.plumb(*argv, status=None, env=settings)
    return Answer(line, ran.returncode, ran.stdout, ran.stderr)


def on_docker(engine: Dockerd) -> Player:
    """A player with a Docker Engine, by its own command line; emptied before each scenario."""
    command = shutil.which("docker", path=PATH)
    assert command

    def docker(line: str) -> Answer:
        argv = [command, *shlex.split(line)]
        env = {"PATH": PATH, "HOME": str(engine.folder), **engine.environment}
        ran = subprocess.run(argv, capture_output=True, text=True, check=False, env=env)
        return Answer(line, ran.returncode, ran.stdout, ran.stderr)

    def answered(line: str) -> Answer:
        """The answer, on a host on which what plumb does otherwise by intent is done as it does."""
        wanted = re.match(r"network connect .*?(n\S+) \S+$", line)
        if wanted and docker(f"network inspect {wanted[1]}").status:
            return Answer(line, 1, "", f"network {wanted[1]} not found")
        said = docker(line)
        if said.status and line.startswith("run ") and said.stdout:
            docker(f"rm -f {said.stdout}")  # plumb keeps no container that could not be started
            return said._replace(stdout="")
        return said

    def play(lines: Sequence[str]) -> Played:
        engine.remove_all()
        docker("network prune -f")
        return Played([answered(line) for line in lines], {})

    return play
