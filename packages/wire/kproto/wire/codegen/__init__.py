"""The generator: walks the construct of a message at a version, and writes one Python function for each direction.

Layer: wire. Rules: adjacent fixed fields are one `struct` call, and take the length or count that follows with them;
loops are inlined, so nothing is called for a nested struct; tables replace arithmetic; sizes are checked once, at the
end, because a read past the end raises by itself and a short slice leaves the position past the end.
"""
