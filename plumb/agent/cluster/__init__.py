"""The cluster: what a node does beside its own networks, and what managers keep in etcd.

state   the cluster's state in etcd, as functions over plain values
"""
