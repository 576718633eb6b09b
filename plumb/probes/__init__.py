"""Probes: what a network promises, and whether it keeps it.

    promises.py   who must reach whom and who must not, from the intent alone (pure)
    published.py  the same for published ports, and whom the container sees (pure)
    traffic.py    tries that with sockets, all at once
    packets.py    asks on the wire (the only module that imports scapy)
"""
