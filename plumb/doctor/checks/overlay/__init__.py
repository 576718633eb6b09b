"""Checks of overlay networks, as far as this host alone tells of them.

tunnels     VXLAN links that are missing, down, of another network, or too small
node_ports  ports of a node that its own firewall drops, or that another program has
"""
