"""Compose files of somebody else: none fills the memory, holds a command up or breaks it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from plumb import Invalid
from plumb.compose.files import Request
from plumb.compose.load import load, scaled
from tests.compose import project

BOMB = "x-0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"x-{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)
REFUSED = {
    "aliases of aliases": (BOMB, "4: the file has more than 100000 values"),
    "many of them in documents": (
        "---\n".join(["".join(BOMB.splitlines(True)[:3])] * 2000),
        "the file has more than",
    ),
    "a number that is none": ("x: !!int foo\n", "1: 'foo' is no number"),
    "another": ("x: !!float x\n", "1: 'x' is no number"),
    "a number of 5000 digits": (f"x: {'9' * 5000}\n", "1: '99999999999999999999' is no number"),
    "one with a base": (f"x: 0x{'f' * 5000}\n", "1: '0xffffffffffffffffff' is no number"),
    "deep nesting": (f"x: {'[' * 800}{']' * 800}\n", "nested too deep"),
    "deep nesting of words": (
        f"services: {{a: {{hostname: '{'${A:-' * 800}{'}' * 800}'}}}}\n",
        "nested too deep",
    ),
    "variables that double": (
        "services: {a: {env_file: double.env}}\n",
        "double.env:21: a value is longer than 1 MiB",
    ),
    "a path with a NUL": (
        'services: {a: {extends: {file: "a\\0b", service: x}}}\n',
        "cannot be read: embedded null byte",
    ),
    "a device to extend": (
        "services: {a: {extends: {file: /dev/zero, service: x}}}\n",
        "compose file /dev/zero cannot be read: it is no regular file",
    ),
    "a device of variables": (
        "services: {a: {env_file: /dev/zero}}\n",
        "env file /dev/zero cannot be read: it is no regular file",
    ),
    "a device of labels": (
        "services: {a: {label_file: /dev/zero}}\n",
        "env file /dev/zero cannot be read: it is no regular file",
    ),
    "containers without end": (
        "services:\n  a:\n    scale: 999999999999\n",
        "3: invalid value '999999999999': it must be in the range 0 to 10000",
    ),
    "fewer than none": (
        "services:\n  a:\n    deploy:\n      replicas: -1\n",
        "4: invalid value '-1': it must be in the range 0 to 10000",
    ),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_it_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    """By its line, or by its name."""
    (tmp_path / "double.env").write_text("A=xx\n" + "A=$A$A\n" * 40)
    with pytest.raises(Invalid, match=re.escape(message)):
        project(tmp_path, text)


def test_a_pipe_does_not_hold_a_command_up(tmp_path: Path) -> None:
    """Nobody writes to it."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Invalid, match="it is no regular file"):
        project(tmp_path, "services: {a: {env_file: pipe}}\n")


def test_a_file_has_a_largest_size(tmp_path: Path) -> None:
    """One of variables, as any."""
    (tmp_path / "long.env").write_text("A=1\n" * (1 << 20) + "B=1\n")
    with pytest.raises(Invalid, match="it is longer than 4 MiB"):
        project(tmp_path, "services: {a: {env_file: long.env}}\n")


def test_the_caller_may_name_a_pipe(tmp_path: Path) -> None:
    """As a shell's <(…) is one."""
    reading, writing = os.pipe()
    os.write(writing, b"NAME=web\n")
    os.close(writing)
    (tmp_path / "compose.yaml").write_text("services: {a: {hostname: $NAME}}\n")
    request = Request(
        name="p", env_files=(f"/dev/fd/{reading}",), environment={}, working_dir=str(tmp_path)
    )
    assert load(request).services["a"].hostname == "web"
    os.close(reading)


def test_an_alias_counts_wherever_it_stands(tmp_path: Path) -> None:
    """As often as it is named; a file that has some is read as before."""
    text = "x-a: &a {A: 1, B: 2}\nservices: {a: {environment: *a}, b: {environment: {<<: *a}}}\n"
    services = project(tmp_path, text).services
    assert services["a"].environment == services["b"].environment == ("A=1", "B=2")


@pytest.mark.parametrize("count", ["-1", "10001", "9" * 5000, "x", ""])
def test_the_number_of_containers_is_in_a_range(tmp_path: Path, count: str) -> None:
    """On the command line too."""
    with pytest.raises(Invalid, match="invalid --scale"):
        scaled(project(tmp_path, "services: {a: {command: x}}"), [f"a={count}"])
