"""The pure cores of the services."""
