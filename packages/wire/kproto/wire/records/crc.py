"""CRC-32C (Castagnoli), which guards record batches from byte 21 on.

Layer: wire. The package is imported on first use: that takes half as long as all the rest of kproto.wire.
"""

from __future__ import annotations

__all__ = ["crc32c"]


def crc32c(data: bytes | bytearray | memoryview, crc: int = 0) -> int:
    """The checksum of any buffer, 0 to 2**32 - 1; crc: the checksum of what stands before it.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    from crc32c import crc32c as checksum

    return checksum(data, crc)
