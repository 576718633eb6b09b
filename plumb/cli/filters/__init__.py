"""Filters: `--filter KEY=VALUE`, with the engine's rules.

words       keys and values, regular expressions, labels
prune       labels and age of what prune removes
containers  what each key of ps's filters tells of a container
"""
