"""linux/xfrm.h: IPsec's states."""

from __future__ import annotations

import struct

XFRM_MSG_NEWSA = 0x10
XFRMA_ALG_AUTH, XFRMA_ALG_CRYPT, XFRMA_ALG_AEAD = 1, 2, 18
XFRM_MODE_TRANSPORT = 0
XFRM_INF = 0xFFFFFFFFFFFFFFFF
"""A lifetime without end."""
XFRM_USERSA_INFO = struct.Struct("=56x 4s12xIBxxx 4s12x 4Q32x 32x 12x IIHBBB7x")
"""struct xfrm_usersa_info of IPv4.

A selector, destination with SPI and protocol, source, lifetimes, counters, statistics, sequence
number, request id, family, mode, replay window, flags.
"""
