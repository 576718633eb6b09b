"""The store: what was asked for, what may exist in the kernel because of it, and who is at work on it."""
