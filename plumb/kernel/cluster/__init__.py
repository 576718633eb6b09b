"""The cluster that this host is a node of, as far as the machine is concerned.

ipsec             IPsec's states and policies, for encrypted networks
endpoint_records  publishes endpoints through this host's cluster process, and withdraws them
"""
