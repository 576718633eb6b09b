"""The pytest plugin.

Networks in tests, on a host that is made of namespaces and goes away with the test.

    hooks              options, marks and parameters: what pytest loads
    fixtures           lab, lab_factory, and what labs are made with
    labs               a host made of namespaces, with networks, containers and a LAN
    nodes              places in a lab: addresses, commands, calls, waits
    reach              whether one place reaches another, as a value that says why not
    commands           programs that run in a lab
    remote_calls       functions of the test that run in a lab
    waiting            waits for a condition, with a deadline
    requirements       what a test needs of the kernel
    leaks              watches the real host for what a test leaves behind
    artifacts          files kept of a test that failed
    session            all labs of a session, and their end
    story              asks plumb's tracer why a question failed
    forkserver_client  pytest's side of the processes that it starts for its labs
    rpc                messages between pytest and a lab's host
    values             values that go over that connection, and that tests read
    lab_process        what runs in those processes

Every pytest where plumb is installed loads `hooks` and `fixtures`, and nothing else of plumb; the
rest comes with the first lab.
"""
