"""The constants beside the headers of this machine, where it has them and a compiler."""

from __future__ import annotations

import importlib
import pkgutil
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from plumb.kernel.netlink import uapi

HEADERS = """
sys/socket.h asm/socket.h linux/netlink.h linux/rtnetlink.h linux/if.h linux/if_link.h
linux/if_addr.h linux/if_bridge.h linux/ipv6.h linux/neighbour.h linux/net_namespace.h
linux/fib_rules.h linux/pkt_sched.h linux/veth.h linux/netfilter.h linux/netfilter/nfnetlink.h
linux/netfilter/nf_tables.h linux/netfilter/nf_tables_compat.h linux/netfilter/nfnetlink_log.h
linux/netfilter/nf_nat.h linux/netfilter/nfnetlink_conntrack.h
linux/netfilter/nf_conntrack_common.h linux/genetlink.h
linux/net_dropmon.h linux/ip_vs.h linux/sock_diag.h linux/inet_diag.h linux/xfrm.h
"""
OLDER = re.compile(r"undeclared|undefined")
NOT_IN_UAPI = re.compile(
    r"CTA_FILTER_F_|NLA_TYPE_MASK|NET_DM_FAMILY|NET_DM_VERSION|INET_DIAG_MSG_|"
    r"NFTNL_|IPVS_GENL_NAME|NFNL_MSG_COMPAT_GET|NFTA_COMPAT_|TC_H_ROOT|XFRM_INF"
)


def constants() -> dict[str, int]:
    """All constants that are numbers, by their names."""
    return {
        name: value
        for module in pkgutil.iter_modules(uapi.__path__, f"{uapi.__name__}.")
        for name, value in vars(importlib.import_module(module.name)).items()
        if name.isupper() and isinstance(value, int) and not NOT_IN_UAPI.match(name)
    }


def compiled(values: dict[str, int], folder: Path) -> str:
    """What a compiler says to the claim that each constant has its value."""
    includes = "".join(f"#include <{header}>\n" for header in HEADERS.split())
    claims = "".join(
        f'_Static_assert((long long)({name}) == {value}LL, "{name}");\n'
        for name, value in values.items()
    )
    source = folder / "claims.c"
    source.write_text(includes + claims)
    ran = subprocess.run(
        ["cc", "-fsyntax-only", "-fmax-errors=0", str(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.stderr


def test_constants_are_the_headers(tmp_path: Path) -> None:
    """Those that this machine's headers know; older ones do not know all."""
    if shutil.which("cc") is None or not Path("/usr/include/linux/netlink.h").exists():
        pytest.skip("there is no compiler, or no headers of the kernel")
    complaints = [line for line in compiled(constants(), tmp_path).splitlines() if "error:" in line]
    assert [line for line in complaints if not OLDER.search(line)] == []
    assert len(complaints) < 20
