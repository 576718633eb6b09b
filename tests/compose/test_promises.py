"""Promises of a compose file, and traffic that tries them."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from plumb import Invalid
from tests.compose import project
from tests.labs import Lab
from tests.waiting import until

TIERS = """
name: shop
services:
  web: {command: sleep infinity, networks: [front]}
  api: {command: sleep infinity, networks: [front, back], scale: 2}
  db: {command: sleep infinity, networks: [back]}
networks: {front: , back: {internal: true}}
x-plumb:
  expect:
    - web -> api:8080
    - api -> db:53/udp
    - host -> web
    - web -/> db:5432
    - web -/> api
"""


def test_promises_are_tried_with_traffic(emptied: Lab, tmp_path: Path) -> None:
    """The last one is broken, by both containers of api."""
    path = tmp_path / "compose.yaml"
    path.write_text(TIERS)
    emptied.plumb("up", "-f", str(path))
    told = emptied.plumb("compose", "check", "-W", "10", "-f", str(path), status=1).stdout
    assert told.splitlines() == [
        "kept    web -> api:8080",
        "kept    api -> db:53/udp",
        "kept    host -> web",
        "kept    web -/> db:5432",
        "broken  web -/> api",
        "        shop-web-1 shop-api-1",
        "        shop-web-1 shop-api-2",
    ]
    path.write_text(TIERS.replace("    - web -/> api\n", ""))
    rows = emptied.plumb(
        "compose", "check", "-W", "10", "-f", str(path), "--json"
    ).stdout.splitlines()
    assert [json.loads(row)["kept"] for row in rows] == [True] * 4
    emptied.plumb("down", "-f", str(path), "-t", "0")
    gone = emptied.plumb("compose", "check", "-f", str(path), status=1).stdout.splitlines()
    assert [line[:9] for line in gone if not line.startswith(" ")] == ["not tried"] * 4


PAIR = """
name: shop
services: {web: {}, db: {}}
x-plumb: {expect: ['web -> db:5432', 'web -/> db']}
"""


def test_matrix_tries_the_promises_of_projects_that_are_up(emptied: Lab, tmp_path: Path) -> None:
    """As their files say today; of one whose file is gone nothing is shown, which is not green."""
    path = tmp_path / "compose.yaml"
    path.write_text(PAIR)
    emptied.plumb("up", "-f", str(path))
    told = emptied.plumb("matrix", "-W", "10", status=1).stdout
    assert "promises of project shop\n  kept      web -> db:5432\n  broken    web -/> db\n" in told
    assert "project shop: web -/> db: not for shop-web-1 shop-db-1" in told.splitlines()
    path.write_text(PAIR.replace("web -/> db", "db -> web"))
    rows = map(json.loads, emptied.plumb("matrix", "-W", "10", "--json").stdout.splitlines())
    written = [row for row in rows if row["kind"] == "written"]
    assert [(row["promise"], row["verdict"]) for row in written] == [
        ("web -> db:5432", "kept"),
        ("db -> web", "kept"),
    ]
    path.unlink()
    gone = emptied.plumb("matrix", "-W", "10", status=1).stdout
    assert "  not tried x-plumb.expect" in gone
    assert "project shop: x-plumb.expect: not tried: its files cannot be read: compose file" in gone
    assert "all as promised" not in gone


REQUIRED = """
name: shop
services: {web: {environment: {KEY: '${SHOP_KEY:?}'}}}
"""


def test_promises_that_cannot_be_read_are_not_shown(
    emptied: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a file with a variable that was set when it went up; one without promises is none."""
    path = tmp_path / "compose.yaml"
    path.write_text(REQUIRED)
    monkeypatch.setenv("SHOP_KEY", "x")
    emptied.plumb("up", "-f", str(path))
    monkeypatch.delenv("SHOP_KEY")
    assert "all as promised" in emptied.plumb("matrix", "-W", "10").stdout
    path.write_text(REQUIRED + "x-plumb: {expect: ['web -> host']}\n")
    rows = emptied.plumb("matrix", "-W", "10", "--json", status=1).stdout.splitlines()
    (written,) = [row for row in map(json.loads, rows) if row["kind"] == "written"]
    assert written["verdict"] == "not shown"
    assert "required variable SHOP_KEY is missing a value" in written["pairs"][0]


MANY = """
name: shop
services:
  web: {command: sleep infinity, networks: [front], scale: 4}
  db: {command: sleep infinity, networks: [back]}
networks: {front: , back: }
x-plumb: {expect: [web -/> db:5432, web -/> db:53/udp, web -/> db, web -> web:80]}
"""


def test_promises_are_waited_for_together(emptied: Lab, tmp_path: Path) -> None:
    """Of twelve pairs that must not reach each other each is waited for as long as asked."""
    path = tmp_path / "compose.yaml"
    path.write_text(MANY)
    emptied.plumb("up", "-f", str(path))
    begun = time.monotonic()
    emptied.plumb("compose", "check", "-W", "8", "-f", str(path))
    assert time.monotonic() - begun < 60  # one after the other it would be 96 seconds at least


SERVERS = """
name: shop
services:
  web: {command: sleep infinity}
  db: {command: 'python3 -m http.server 8080 --bind 127.0.0.1', scale: 2}
  udp: {command: 'python3 -c "%s"'}
x-plumb:
  expect:
    - web -> udp:53/udp
    - web -/> udp:53/udp
    - web -> db:8080
    - web -/> db:8080
    - web -> web:80
    - web -/> nosuch.invalid:80
"""
SILENT = (
    "import socket, time; s = socket.socket(type=socket.SOCK_DGRAM); s.bind((str(), 53));"
    " time.sleep(9e6)"
)
"""A program that has a UDP port and answers nothing."""


def test_a_promise_is_held_against_what_arrives(emptied: Lab, tmp_path: Path) -> None:
    """A program need not answer; one at loopback alone is not reached, but the packet arrives.

    Containers are those with the service's label, whatever the file's scale says.
    """
    path = tmp_path / "compose.yaml"
    path.write_text(SERVERS % SILENT)
    emptied.plumb("up", "-f", str(path))
    for box, port in (("shop-udp-1", ":53 "), ("shop-db-1", ":8080 "), ("shop-db-2", ":8080 ")):
        until(lambda: port in emptied.plumb("exec", box, "ss", "-Hlnut").stdout, f"{box} listens")  # noqa: B023
    path.write_text(path.read_text().replace("scale: 2", "scale: 1"))
    told = emptied.plumb("compose", "check", "-f", str(path), status=1).stdout.splitlines()
    assert [line for line in told if not line.startswith(" ")] == [
        "kept    web -> udp:53/udp",
        "broken  web -/> udp:53/udp",
        "broken  web -> db:8080",
        "broken  web -/> db:8080",
        "not tried web -> web:80",
        "not tried web -/> nosuch.invalid:80",
    ]
    assert told.count("        shop-web-1 shop-db-2:8080/tcp") == 2


@pytest.mark.parametrize(
    ("promise", "message"),
    {
        "web reaches db": "3: 'web reaches db' is no promise",
        "web -> db:99999": "3: cannot expect 'db:99999'",
        "web -> db/dns": "3: cannot expect 'db/dns': there is no protocol dns",
    }.items(),
)
def test_a_promise_that_is_none_has_its_line(tmp_path: Path, promise: str, message: str) -> None:
    with pytest.raises(Invalid, match=f"compose.yaml:{message}"):
        project(tmp_path, f"x-plumb:\n  expect:\n    - {promise}\n")


def test_another_key_of_plumbs_is_refused(tmp_path: Path) -> None:
    """A promise under a misspelt key would never be tried."""
    with pytest.raises(Invalid, match="2: expects is no key here"):
        project(tmp_path, "x-plumb:\n  expects: [web -> db]\n")
