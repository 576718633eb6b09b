"""Stream of changes, as a node takes it.

events     receiver of what it brings
services   services of it
tasks      own tasks of it
applying   what has changed, applied to this host
"""
