"""`plumb doctor`: faults that are injected and found, clean hosts, snapshots."""
