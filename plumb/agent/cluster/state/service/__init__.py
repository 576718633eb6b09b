"""Services and tasks in etcd.

services   services: made, changed, removed
asked      what is asked for, with its networks found, or refused
ports      ports that every node publishes
allotting  addresses on several networks in one transaction
tasks      tasks: written by the leader, reported on by nodes
template   digest of what a task is made from
moments    moments as text and as seconds
election   the manager that assigns tasks
"""
