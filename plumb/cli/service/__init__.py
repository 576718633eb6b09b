"""plumb service create|ls|ps|inspect|update|scale|rollback|logs|rm.

options   flags of create and update, and those that are refused
progress  the display until a service is as asked for
listings  ls, ps, inspect
changes   create, update, scale, rollback, rm
logs      logs
"""

from __future__ import annotations

from plumb.cli import common
from plumb.cli.service import changes, listings, logs


@common.group("service")
def service() -> None:
    """Manage services: many containers under one name, one address, one port."""


for _verb in (
    *(changes.create, changes.update, changes.scale, changes.rollback, changes.rm),
    *(listings.ls, listings.ps, listings.inspect, logs.logs),
):
    service.add_command(_verb)
