"""The scene of the faults: a page as a lesson's, and the shell in which faults are injected."""

from __future__ import annotations

from pathlib import Path

from plumb.lab.lessons.lesson import SET_UP, Lesson, lines, parse

PAGE = Path(__file__).with_name("scene.md")
NAME_SERVER = "echo nameserver 192.0.2.1 >/run/plumb-lab/resolv.conf"
"""Gives a lab's host a resolv.conf that names a server; only such a host has that file."""
WORDS = """
port() {
    peer=$(plumb exec "$1" cat /sys/class/net/eth0/iflink)
    ip -o link show | sed -n "s/^$peer: \\([^:@]*\\).*/\\1/p"
}
inside() {
    file=$(plumb inspect --format '{{.NetworkSettings.SandboxKey}}' "$1"); shift
    nsenter --net="$file" -- "$@"
}
"""
"""Functions of the shell: `port BOX` is the host's end of a container's link, `inside BOX COMMAND`
runs a program of the host in a container's network namespace."""


def scene() -> Lesson:
    """The hosts, what runs on them, and what they promise."""
    return parse("scene", PAGE.read_text(encoding="utf-8"))


def set_up() -> list[str]:
    """The shell lines that build it, on one host."""
    return [line.words for line in lines(scene().sections[SET_UP])]
