"""Damaged bytes by the hundred thousand: every message, and record batches.

Each mutant is decoded; the answer is a value or a DecodeError, and never takes longer than its size allows. Prints one
line for each target with the seed; `--seed` repeats a run. `make fuzz MUTATIONS=100000` runs it.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator

from kproto.wire import REQUESTS, RESPONSES, DecodeError, Message, RequestHeader, ResponseHeader
from kproto.wire.records import RecordBatchBuilder, read_record_batches
from kproto.wire.schema import Struct
from kproto.wire.wire_type import Array, StructType

Decode = Callable[[bytes], object]
DECODED_MAX = 1 << 20  # bytes that a mutant of a batch may decompress to
MEMORY_MAX = 64 << 20  # bytes that decoding one mutant may take: far above any honest one
COUNTS = (2**31 - 1, 2**32 - 1, 2**34, 2**63 - 1)


def sample(struct: type[Struct], version: int, rng: random.Random) -> Struct:
    """A value with something in every field of the version."""
    values: dict[str, object] = {}
    for field in struct.fields:
        if version not in field.versions:
            continue
        wire_type = field.type
        element = wire_type.element if isinstance(wire_type, Array) else wire_type
        if isinstance(element, StructType):
            made: object = sample(element.struct, version, rng)  # type: ignore[type-var]
        elif element.name == "string":
            made = rng.choice(["", "topic", "é" * 3, "x" * 130])
        elif element.name in ("bytes", "records"):
            made = rng.randbytes(rng.choice([0, 5, 200]))
        else:
            made = element.default
        values[field.name] = [made] * rng.randrange(3) if isinstance(wire_type, Array) else made
    tags = {rng.randrange(100, 2000): rng.randbytes(3)} if version in struct.flexible_versions else {}
    return struct(**values, unknown_tags=tags)


def batches(rng: random.Random) -> Iterator[bytes]:
    """Batches of every codec, with null and empty parts and headers."""
    for compression in ("none", "gzip", "snappy", "lz4", "zstd"):
        builder = RecordBatchBuilder(compression=compression)
        for index in range(5):
            headers = [("trace", b"1"), ("null", None)][: rng.randrange(3)]
            builder.append(1_700_000_000_000 + index, rng.choice([None, b"key"]), rng.randbytes(20), headers)
        yield builder.build(producer_id=7, producer_epoch=0, base_sequence=0)


def mutant(seed: bytes, rng: random.Random) -> bytes:
    """A few bytes flipped, a stretch cut, doubled or replaced by a huge count."""
    data = bytearray(seed)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(6):
            case 0 | 1 if at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            case 2 if at < len(data):
                data[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
            case 3:
                del data[at : at + rng.randrange(8)]
            case 4:
                data[at:at] = data[at : at + rng.randrange(16)]
            case _:
                count = rng.choice(COUNTS)
                data[at : at + 5] = bytes([0xFF] * 4 + [0x0F]) if rng.random() < 0.5 else count.to_bytes(8, "big")[-4:]
    return bytes(data)


def read_batches(data: bytes) -> object:
    """All records of all batches, without the checksum that would refuse nearly every mutant."""
    return [list(batch) for batch in read_record_batches(data, max_size=DECODED_MAX, verify_crc=False)]


def fuzz(seeds: list[bytes], decode: Decode, mutations: int, rng: random.Random) -> tuple[int, float]:
    """How many of so many mutants were refused, and the slowest, in microseconds per byte above a fixed start."""
    refused = 0
    slowest = 0.0
    for seed in seeds:
        for size in range(len(seed)):
            refused += verdict(decode, seed[:size])
    for _ in range(mutations):
        data = mutant(rng.choice(seeds), rng)
        start = time.perf_counter()
        refused += verdict(decode, data)
        slowest = max(slowest, (time.perf_counter() - start) * 1e6 / (len(data) + 100))
    return refused, slowest


def verdict(decode: Decode, data: bytes) -> bool:
    """Whether the bytes were refused; any other exception than DecodeError ends the run with the bytes."""
    try:
        decode(data)
    except DecodeError:
        return True
    except BaseException:
        print(f"reproduce: {data.hex()}", file=sys.stderr)
        raise
    return False


def targets(rng: random.Random) -> Iterator[tuple[str, list[bytes], Decode]]:
    """Name, good inputs and decoder of each target."""
    messages: list[type[Message]] = [RequestHeader, ResponseHeader, *REQUESTS.values(), *RESPONSES.values()]
    for cls in messages:
        seeds = {version: [encoded(cls, version, rng) for _ in range(3)] for version in cls.versions}
        yield cls.__name__, [data for each in seeds.values() for data in each], any_version(cls, rng)
    yield "record batches", list(batches(rng)), read_batches


def encoded(cls: type[Message], version: int, rng: random.Random) -> bytes:
    message = sample(cls, version, rng)
    assert isinstance(message, Message)
    return message.encode(version)


def any_version(cls: type[Message], rng: random.Random) -> Decode:
    return lambda data: cls.decode(data, rng.choice(cls.versions))


def main(arguments: list[str] | None = None) -> int:
    """Fuzz every target; 0 when all held."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutations", type=int, default=2000, help="mutants for each target (default: 2000)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    options = parser.parse_args(arguments)
    print(f"seed {options.seed}")
    for name, seeds, decode in targets(random.Random(options.seed)):
        rng = random.Random(f"{options.seed} {name}")
        start = time.perf_counter()
        refused, slowest = fuzz(seeds, decode, options.mutations, rng)
        tracemalloc.start()
        for _ in range(min(options.mutations, 200)):
            verdict(decode, mutant(rng.choice(seeds), rng))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < MEMORY_MAX, f"{name}: decoding a mutant took {peak} bytes"
        cuts = sum(map(len, seeds))
        seconds = time.perf_counter() - start
        print(
            f"{name:26} {options.mutations:8} mutants, {cuts:6} truncations, {refused:8} refused, "
            f"{seconds:6.1f} s, slowest {slowest:6.1f} us/byte, peak {peak >> 10:6} KiB"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
