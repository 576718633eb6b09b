"""Tracing: the story of one packet and of its answer, told from what was seen of it.

    records     what was seen: at a tap, by a rule, by the kernel when it dropped it (values)
    scene       what stands in a namespace while a packet passes (values)
    asking      who asks whom, as a line of words
    path        who and what lies between two ends, and what people call it
    frames      bytes as packets; rules, known: steps through a firewall in words, and why those rules exist
    story       the records put into order: hops, what was decided at each, where and how it ended
                (sightings, rewriting, telling, endings)
    causes      what an end that is no arrival means, and what to do about it
    probe       the question itself, with a plain socket
    tracer      all of that: looks (errands, ground), asks and watches (watching), and gathers what causes need (gather); its answer
                is a report

The kernel's door (`plumb.kernel`) collects the records; `plumb.views.trace` tells them.
"""
