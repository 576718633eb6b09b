"""Promises of a compose file, and traffic that tries them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from plumb import Invalid
from tests.compose import project
from tests.labs import Lab

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
    told = emptied.plumb("compose", "check", "-f", str(path), status=1).stdout
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
    rows = emptied.plumb("compose", "check", "-f", str(path), "--json").stdout.splitlines()
    assert [json.loads(row)["kept"] for row in rows] == [True] * 4
    emptied.plumb("down", "-f", str(path), "-t", "0")
    gone = emptied.plumb("compose", "check", "-f", str(path), status=1)
    assert gone.stderr.count("\n") == 1


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
