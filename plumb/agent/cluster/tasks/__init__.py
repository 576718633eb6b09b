"""Tasks of this node: what the leader has given it, as containers.

runner     the thread: containers come and go, states are reported
questions  answers to managers
state      state of a task, by its container
"""
