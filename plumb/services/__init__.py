"""Services: what a network offers besides wires. Each has a pure core; what does I/O is elsewhere."""
