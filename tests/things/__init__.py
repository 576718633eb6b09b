"""The things."""
