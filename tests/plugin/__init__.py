"""The pytest plugin.

What it offers, tried as its users would, and that nothing is left when it is killed.
"""
