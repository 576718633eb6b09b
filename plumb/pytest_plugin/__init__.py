"""The pytest plugin.

Networks in tests, on a host that is made of namespaces and goes away with the test.

    hooks       options and marks: what pytest loads
    fixtures    lab, lab_factory, and what labs are made with
    labs        a fake host, with networks, containers and a LAN
    nodes       places in it: addresses, commands, calls, waits, questions
    reaching    who reaches whom, as a value that tells its story when an assertion about it fails
    commands    programs that run in a lab; calls: functions that do
    waits       waiting with a deadline
    gates       what a test needs of the kernel
    leaks       nothing may be left behind on the real host
    artifacts   what is kept of a test that failed
    session     the labs that there are, and what becomes of them when a test fails
    forkserver     pytest's end of the wire to the processes that it starts for its labs; wire: what goes over it
    inside      those processes that pytest starts for it

Every pytest where plumb is installed loads `hooks` and `fixtures`, and nothing else of plumb; the
rest comes with the first lab.
"""
