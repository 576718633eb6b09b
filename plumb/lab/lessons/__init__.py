"""Lessons: labs with a page each, which tells what to do, to look at, to break and to mend.

lesson  a page as values: its head, its sections, the command lines in them, its goals
play    a lesson on hosts of a lab: set up, typed, its goals tried

The pages are Markdown beside these modules. A page is all that there is of a lesson: `plumb learn`
shows it, `plumb lab run` runs its section "Set up", `plumb learn --check` tries its goals, and the
tests type all of it and write down what comes out.
"""
