"""Compose files on the command line.

group     the group compose, up and down
project   options about which project is meant, and the project
changes   up, down
listings  ps, ls, config
check     check
trial     trial of those promises, with traffic
promised  promises of the projects that are up, for matrix
transfer  network export, network import
"""
