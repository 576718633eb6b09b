"""linux/sock_diag.h, linux/inet_diag.h, net/tcp_states.h: the sockets of a namespace."""

from __future__ import annotations

import struct

SOCK_DIAG_BY_FAMILY = 20
INET_DIAG_REQ_V2 = struct.Struct("=BBBBI48x")
"""struct inet_diag_req_v2: family, protocol, extensions, a pad, a mask of states, an empty id."""
INET_DIAG_MSG = struct.Struct(">BBBBHH16s16s")
"""struct inet_diag_msg's beginning: family, state, timer, retransmissions, ports, addresses."""
INET_DIAG_MSG_INODE, INET_DIAG_MSG_SIZE = 68, 72
"""Where the inode stands in inet_diag_msg, and its size."""
INET_DIAG_SKV6ONLY = 11
TCP_STATES = {
    1: "ESTABLISHED",
    2: "SYN-SENT",
    3: "SYN-RECV",
    4: "FIN-WAIT-1",
    5: "FIN-WAIT-2",
    6: "TIME-WAIT",
    7: "CLOSED",
    8: "CLOSE-WAIT",
    9: "LAST-ACK",
    10: "LISTEN",
    11: "CLOSING",
    12: "SYN-RECV",
}
"""By number, in the spelling of ss(8); 12 is TCP_NEW_SYN_RECV."""
