"""Tests of plumb.kernel.events."""
