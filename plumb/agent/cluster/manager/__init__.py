"""A manager's work.

parts         all of it together
etcd_member   etcd's member and its supervision
listener      TCP port 2377
api           who may ask for what
requests      what managers do on request
feed          what changes, told to each node
service_feed  services and tasks of it
task_stream   own tasks of a node: all of them, then changes
orchestrator  the leader: tasks follow what services ask for
housekeeping  what the leader does unasked: keys move on, lost nodes give back addresses
"""
