"""Events on this host, as they come.

inotify  waits until files in a folder change
"""
