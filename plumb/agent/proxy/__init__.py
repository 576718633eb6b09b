"""The user-land proxy: published ports for clients whose packets DNAT does not meet.

tcp     streams
udp     datagrams
splice  moves bytes between sockets by pipe, or by a buffer where splice(2) is not possible
"""
