"""Views: the same things to be read: as commands, as tables, as Docker's JSON."""
