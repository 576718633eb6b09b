"""Containers' commands and files, and processes of the host that plumb acts for.

commands       starts, finds and ends the command of a sandbox
foreground     runs the command of a foreground `run`, and passes signals on to it
health         health of containers, asked of the agent
health_file    the same as the agent writes it down
starting       describes commands, and starts their shims
shim           runs beside each such command; standard library only
become         makes a process the command of a sandbox
pid_namespace  forks a command below an init, and waits for it
identity       assumes a user and a working directory, and looks users up
files          makes and compares folders and files of a sandbox
line_merge     merges plumb's lines with those that a user has written into a file
host_files     the host's resolv.conf, hosts and host name
adopt          takes over another process's namespaces, folder, limits and signals
memory         pages that a fork shares with its parent
deaths         tells when commands end
logs           keeps what a command prints, and reads it
signals        holds signals back around a fork
caller         the process that called for a command
start_time     identifies a process for good
title          the name that `ps` shows for a process
"""
