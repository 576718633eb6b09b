"""Packets: frames that scapy makes and reads: address requests, and captures on a link.

neighbours      the MACs that claim an address on a segment (ARP, neighbour discovery)
encapsulation   the encapsulation of a packet on a link: VLAN tags, VXLAN, ESP

scapy caches the interfaces and routes of the namespace in which it first reads them. So scapy only
makes and reads packets here, with every address given; plumb opens the sockets itself.
"""

from plumb.probes.packets.neighbours import claims, who_has

__all__ = ["claims", "who_has"]
