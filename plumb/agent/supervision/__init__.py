"""Supervision of containers' commands by the agent: it checks health, and starts them again.

supervisor      both, for the agent
health_checks   health checks of all containers: when each is due, and what they have found
probe           one check: a command in a container, its output, its end or its timeout
delayed_starts  starts of containers after a back-off
children        child processes of the agent: forked without its descriptors, watched by pidfd
"""
