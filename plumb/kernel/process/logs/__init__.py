"""Logs of detached commands: writers and readers of their output.

copier         copies a command's output and errors, line by line, to what keeps them
json_file      lines of Docker's json-file driver
bounded_file   files that follow each other when they are full
growing_files  reads such files on and on
log_server     sends lines to a log server, without waiting for it
syslog         messages of the syslog protocol
fluentd        messages of Fluentd's forward protocol
reading        reads a log, also while it grows

All but `reading` need the standard library only: the shim imports them.
"""
