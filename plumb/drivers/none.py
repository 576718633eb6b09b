"""Driver none (Docker's "null"): a network stack without any link to others.

The sandbox has its own namespace with only `lo` in it: 127.0.0.1 and ::1 work, and there is no way
out. What is said in `drivers/sandbox.py` about every sandbox is all that there is to say.
"""

from __future__ import annotations

from plumb.drivers.driver import Driver

DRIVER = Driver(name="null", only_predefined=True)
