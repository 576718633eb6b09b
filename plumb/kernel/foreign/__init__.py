"""Readings of what other programs on this host tell of their containers: sockets, files, processes.

All of it is read, nothing changed, and nothing trusted: answers and files have a largest size,
no symbolic link is followed, and a dead daemon costs no more than the time it is given.

unix_http     asks a daemon's HTTP API at its Unix socket
files_inside  reads files in a folder that somebody else writes, without leaving it
documents     reads JSON files of other programs
dockerd       settings of a dockerd that runs, from its command line or its daemon.json
nat_rules     rules of iptables by which other programs publish ports
user_namespaces  who has made the user namespaces of processes
processes     processes by their network namespaces
"""
