"""Cluster: the parts of a packet's path that networks of a cluster have and others have not.

overlay     VXLAN packets of a story, and the other host, where it is on this machine
balancing   the task that a service's connection was given to, and by what
"""
