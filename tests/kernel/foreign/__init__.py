"""Other programs' files and sockets."""
