"""Networks that several hosts share, in the intent of one.

access        the cluster as the engine asks it
attach        networks of the cluster on this host, and containers' places in them
reservations  addresses that an operation reserves in the cluster, and gives back
rehearsal     the same cluster for a dry run, which changes nothing there
"""
