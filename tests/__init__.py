"""The tests; they mirror the package."""

from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
"""The checkout under test."""
