"""Events on this host, as they come.

changes        tells whether files in many folders have changed
inotify        waits until files in a folder change
journal        keeps events of containers and networks
journal_file   appends to the journal, with few imports
route_monitor  tells of changes of links, addresses and routes
"""
