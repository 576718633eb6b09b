"""A container's life after its start: what follows when its command ends, and when it is to.

signals     kill and rename
endings     the end of a command: the container stops, goes, or starts again after a back-off
events      events that follow from what an operation has changed
exit_codes  codes of commands that plumb has ended
"""
