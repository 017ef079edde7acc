"""How fast kproto is beside other implementations: `python -m benchmarks`, or `make bench`.

`harness.py` times rows and knows nothing of Kafka; each layer has a module of rows, the wire layer `wire.py`.
"""
