"""Processes and files of a cluster's node.

places         paths of the cluster process
secret_files   files that only root may read
process        start, look-up and end of the cluster process
etcd_process   etcd as a child process
publisher      endpoints that the cluster process publishes
failures       errors between processes and hosts
words          Docker's words for a node in no swarm
"""
