"""Prefork: command lines carried out in forks of a process that has everything imported.

client  hands a command line over; imports nothing that is written in Python
server  the process that has everything imported, and its forks
"""
