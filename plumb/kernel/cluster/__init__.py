"""Processes, files and kernel objects of a cluster's node.

places            paths of the cluster process
secret_files      files that only root may read
process           start, look-up and end of the cluster process
etcd_process      etcd as a child process
line_process      a Python process that answers lines
publisher         endpoints that the cluster process publishes
endpoint_records  endpoint records as things, by way of the publisher
ipvs              IPVS's services and destinations, for services of the cluster
balanced          connections of a service's tasks, as IPVS counts or conntrack knows them
policy_routing    routing rules, for answers to clients of published ports
ipsec             IPsec's states and policies, for encrypted networks
failures          errors between processes and hosts
words             Docker's words for a node in no swarm
"""
