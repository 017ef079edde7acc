"""How fast kproto's producers are beside others on a real Apache Kafka: `python -m benchmarks.producers`.

`rows.py` says what is compared, `runs.py` lets contenders take turns, each turn in a process of its own (`turn.py`, and
a module of contenders for each client), and `figures.py`, `report.py` and `plot.py` say what came of it.
"""
