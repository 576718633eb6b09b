"""Prefork: command lines carried out in forks of a process that has everything imported.

client     hands a command line over; imports nothing that is written in Python
launchers  the client in C (launcher.c), and what the server knows of it
own_files  files that the server has loaded, and whether they have changed
streams    arguments, environment and streams of a caller, taken over
warm_up    what a command would do first in a fork, done before there is a command
written_pages  memory that commands write to, copied before there is a command
server     the process that has everything imported, and its forks
"""
