"""`kproto decode`: from captured packets to Kafka's messages, and what they add up to.

Layer: tools. `capture` and its neighbours read packets, `tcp` makes streams of them, `frames` cuts these into frames,
`conversation` decodes them; the rest shows what came of it. `model` has the values that they hand on.
"""
