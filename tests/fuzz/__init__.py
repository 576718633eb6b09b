"""Random scenarios of command lines, played on several engines, which must say the same.

scenarios.py     a scenario: lines drawn by a seed
players.py       a fresh host with plumb on each firewall, or a Docker Engine; what it answered
differences.py   where two engines' answers are not the same
old_docker.py    what Docker 20.10 says otherwise than today's
shrink.py        the fewest lines of a scenario that still differ
__main__.py      `make fuzz SEED=… COUNT=…`
"""
