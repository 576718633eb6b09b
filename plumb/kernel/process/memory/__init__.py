"""Memory of processes that were forked.

pages  copies pages that a fork shares with its parent before it writes to them
"""
