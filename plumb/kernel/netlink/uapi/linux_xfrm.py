"""linux/xfrm.h: IPsec's states and policies."""

from __future__ import annotations

import struct

XFRM_MSG_NEWSA, XFRM_MSG_DELSA, XFRM_MSG_GETSA = 0x10, 0x11, 0x12
XFRM_MSG_NEWPOLICY, XFRM_MSG_DELPOLICY, XFRM_MSG_GETPOLICY = 0x13, 0x14, 0x15
XFRM_MSG_UPDPOLICY = 0x19
XFRMA_ALG_AUTH, XFRMA_ALG_CRYPT, XFRMA_TMPL, XFRMA_SRCADDR = 1, 2, 5, 13
XFRMA_ALG_AEAD, XFRMA_MARK = 18, 21
XFRM_MODE_TRANSPORT = 0
XFRM_POLICY_OUT = 1
XFRM_POLICY_ALLOW, XFRM_POLICY_BLOCK = 0, 1
XFRM_INF = 0xFFFFFFFFFFFFFFFF
"""A lifetime without end."""
XFRM_USERSA_INFO = struct.Struct("=56x 4s12xIBxxx 4s12x 4Q32x 32x 12x IIHBBB7x")
"""struct xfrm_usersa_info of IPv4.

A selector, destination with SPI and protocol, source, lifetimes, counters, statistics, sequence
number, request id, family, mode, replay window, flags.
"""
XFRM_USERSA_INFO_ANY = struct.Struct("=40xH14x 16sIBxxx 16s 4Q32x 32x 12x IIHBBB7x")
"""The same of any family, with the selector's family: it selects everything of that."""
XFRM_USERSA_ID = struct.Struct("=16sIHBx")
"""struct xfrm_usersa_id: destination, SPI, family, protocol."""
XFRM_SELECTOR = struct.Struct("=16s16sHHHHHBBBxxxiI")
"""struct xfrm_selector: destination, source, their ports and masks, family, prefixes, protocol.

Then a link's index and a user's id.
"""
XFRM_USERPOLICY_INFO = struct.Struct("=56s 4Q32x 32x IIBBBB4x")
"""struct xfrm_userpolicy_info.

A selector, lifetimes, counters, priority, index, direction, action, flags, share.
"""
XFRM_USERPOLICY_ID = struct.Struct("=56sIB3x")
"""struct xfrm_userpolicy_id: a selector, index, direction."""
XFRM_USER_TMPL = struct.Struct("=16sIBxxxH2x16sIBBBxIII")
"""struct xfrm_user_tmpl.

Destination with SPI and protocol, family, source, request id, mode, share, optional, algorithms.
"""
XFRM_MARK = struct.Struct("=II")
"""struct xfrm_mark: value and mask."""
XFRM_ALGO_AEAD = struct.Struct("=64sII")
"""struct xfrm_algo_aead: name, bits of the key, bits of the check value; the key follows."""
