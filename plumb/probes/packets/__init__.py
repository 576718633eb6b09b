"""Packets: questions on the wire itself, and what is seen there, made and read with scapy.

neighbours      who on this segment claims an address, and with which MACs (ARP, neighbour discovery)
encapsulation   how a packet is wrapped where it passes a link: VLAN tags, VXLAN, ESP

scapy keeps the interfaces and routes of the namespace in which it was first asked for them; so it
only makes and reads packets here, with every address given, and the sockets are our own.
"""

from plumb.probes.packets.neighbours import claims, who_has

__all__ = ["claims", "who_has"]
