"""How fast `kproto decode` is beside tshark: `python -m benchmarks.decode`, or `make bench-decode`.

`captures.py` makes what is decoded, `runs.py` lets both take turns, each in a process of its own.
"""
