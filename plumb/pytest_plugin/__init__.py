"""The pytest plugin.

Networks in tests, on a host that is made of namespaces and goes away with the test.

    hooks              options, marks and parameters: what pytest loads
    fixtures           lab, lab_factory, and the parameters of labs
    labs               a host made of namespaces, with networks, containers and a LAN
    nodes              places in a lab: addresses, commands, calls, waits
    reach              the outcome of a request between two places, as a value with the reason
    commands           programs that run in a lab
    remote_calls       functions of the test that run in a lab
    waiting            waits for a condition, with a deadline
    requirements       kernel features that a test needs
    leaks              watches the real host for state that a test leaves behind
    artifacts          files kept of a test that failed
    session            all labs of a session, and their end
    story              asks plumb's tracer for the reason of a failure
    forkserver_client  pytest's side of the processes that it starts for its labs
    rpc                messages between pytest and a lab's host
    values             values that go over that connection, and that tests read
    lab_process        modules that run in those processes

Every pytest where plumb is installed loads `hooks` and `fixtures`, and nothing else of plumb; the
rest comes with the first lab.
"""
