"""Readings for a snapshot of a host: whole namespaces, rule sets, files. Nothing is changed.

Only a remedy that somebody has asked for changes something.

namespace   links, addresses, routes, neighbours, listeners and settings of one namespace
routing     routes of all tables, and rules of policy routing
rule_sets   chains of iptables and nftables with their rules
tunnels     VXLAN links of overlay networks
machine     the kernel, its modules, processes, and files of settings
remedy_command  runs the command of a remedy
undo_journal    files with the fixes that can be taken back
"""
