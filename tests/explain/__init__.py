"""plumb explain."""
