"""Endurance: `make soak`, which is `python -m tests.soak` in a namespace of its own.

    cycles  thousands of containers that come and go: time, memory, descriptors and store stay flat
    sizes   what of processes, the root and the kernel is looked at meanwhile
    kills   kill -9 at random moments, of every verb, of the agent, of the warm process

The suite runs a small part of each; docs/reliability.md has the figures of a whole run.
"""
