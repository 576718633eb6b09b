"""plumb draw: pictures of a host's wiring."""
