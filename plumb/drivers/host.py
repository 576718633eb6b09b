"""host: no network stack of its own: the container uses the host's.

Same namespace, same links, same ports: what listens in the container listens on the host, and no
rule and no NAT stands in between. So there is nothing to build, and no port to publish.
"""

from __future__ import annotations

from plumb.drivers.driver import Driver

DRIVER = Driver(name="host", only_predefined=True)
