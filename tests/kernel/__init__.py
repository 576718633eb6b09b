"""Tests on a real kernel, each in a lab host of its own."""
