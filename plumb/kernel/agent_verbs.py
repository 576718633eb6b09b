"""Verbs of what an agent is asked to do, in requests and on the command line (`plumb agent VERB`).

`plumb.agent.server` says what each does. Nothing is imported here: the agent is small.
"""

from __future__ import annotations

HOLD, RETARGET, RELEASE = "hold", "retarget", "release"
PROXY, UNPROXY = "proxy", "unproxy"
SERVE, UNSERVE = "serve", "unserve"
NAME, UNNAME = "name", "unname"
PORT_VERBS = (HOLD, RETARGET, PROXY, UNPROXY, RELEASE)
DNS_VERBS = (SERVE, UNSERVE, NAME, UNNAME)
CHECK, UNCHECK = "check", "uncheck"
DELAY, UNDELAY = "delay", "undelay"
HEALTH_VERBS, START_VERBS = (CHECK, UNCHECK), (DELAY, UNDELAY)
