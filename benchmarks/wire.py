"""The rows of the wire layer: record batches, messages, and the import.

Ratios to aiokafka are ratios to C: its record batches are a Cython extension, and kproto's are Python.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable
from functools import partial
from random import Random
from typing import Any, Final

from benchmarks import message_libraries as messages
from benchmarks import record_libraries as records
from benchmarks.harness import Contender, Row
from benchmarks.workloads import PARTITIONS, TOPICS, WORKLOADS, Records, cluster_metadata
from benchmarks.workloads import records as make_records
from kproto.wire.records import Compression, read_record_batches

__all__ = ["ROWS"]

RECORDS: Final = {name: len(make_records(name)) for name in WORKLOADS}
BATCH_BYTES: Final = 16_000
BATCHES: Final = 3
IMPORTS: Final = 15
GZIP_LEVEL: Final = 9  # the one level of kafka-python and aiokafka; kproto's default is 6

IMPORT_SECONDS: Final = """
from time import perf_counter
start = perf_counter()
import kproto.wire
print(perf_counter() - start)
"""
IMPORTED_ROOTS: Final = """
import sys
before = set(sys.modules)
import kproto.wire
print(*sorted({name.partition(".")[0] for name in set(sys.modules) - before} - sys.stdlib_module_names - {"kproto"}))
"""


def _then(shown: Callable[[Any], object], run: Callable[[], Any]) -> Callable[[], object]:
    return lambda: shown(run())


def append_row(workload: str) -> Row:
    """A batch of one workload, without compression."""

    def contenders() -> list[Contender]:
        given = make_records(workload)
        made = {name: partial(build, given) for name, build in records.BUILD.items()}
        return [Contender(name, run, _then(records.shown_batch, run)) for name, run in made.items()]

    about = f"append each, then build with CRC: {WORKLOADS[workload]}"
    return Row(f"append-{workload}", about, "record", RECORDS[workload], contenders)


def decode_row(workload: str) -> Row:
    """Bytes to the records that a user gets."""

    def contenders() -> list[Contender]:
        given = make_records(workload)
        batch = records.build_by_kproto(given)
        return [_reader(name, read, records.touch, batch, given) for name, read in records.READ.items()]

    about = f"CRC verified, each record read by its user: {WORKLOADS[workload]}"
    return Row(f"decode-{workload}", about, "record", RECORDS[workload], contenders)


def raw_row(workload: str) -> Row:
    """As `decode_row`, where the user does not look at the headers."""

    def contenders() -> list[Contender]:
        given = make_records(workload)
        batch = records.build_by_kproto(given)
        raw = _reader("kproto raw_records", records.read_raw_by_kproto, records.touch_raw, batch, given)
        others = [_reader(name, read, records.touch, batch, given) for name, read in records.READ.items()]
        return [raw, *others]

    about = f"as decode-{workload}, kproto leaving headers undecoded; the others have no such way"
    return Row(f"raw-{workload}", about, "record", RECORDS[workload], contenders)


def _reader(
    name: str,
    read: Callable[[bytes], Iterable[Any]],
    touch: Callable[[Iterable[Any]], None],
    batch: bytes,
    given: Records,
) -> Contender:
    return Contender(name, lambda: touch(read(batch)), lambda: records.shown_records(read(batch), given))


def compressed_row(codec: Compression, workload: str) -> Row:
    """A compressed batch. The contenders that share a level have it in the row's `about`, others in their name."""
    levels = {Compression.GZIP: "level 9", Compression.LZ4: "fast", Compression.ZSTD: "level 3"}

    def contenders() -> list[Contender]:
        given = make_records(workload)
        level = GZIP_LEVEL if codec is Compression.GZIP else None
        made: dict[str, Callable[[], Any]] = {
            "kproto": partial(records.build_by_kproto, given, codec, level),
            "kafka-python": partial(records.BUILD["kafka-python"], given, codec),
            "aiokafka (slow, level 9)" if codec is Compression.LZ4 else "aiokafka": partial(
                records.BUILD["aiokafka"], given, codec
            ),
        }
        if codec is Compression.GZIP:
            made["kproto (level 6, its default)"] = partial(records.build_by_kproto, given, codec)
        return [Contender(name, build, partial(_read_again, build, given)) for name, build in made.items()]

    about = f"append, then build with {codec} {levels[codec]}: {WORKLOADS[workload]}"
    return Row(f"{codec}-{workload}", about, "record", RECORDS[workload], contenders)


def _read_again(build: Callable[[], Any], given: Records) -> list[Any]:
    """What is in a compressed batch: its bytes depend on the library that compressed it."""
    batch = build()
    assert batch[22] & 7, "not compressed"
    return [records.shown_records(read, given) for read in read_record_batches(batch)]


def metadata_row(version: int) -> Row:
    """A large Metadata response to objects."""
    contestants = messages.METADATA_V12 if version == 12 else messages.METADATA_V5
    shown = messages.shown_metadata if version == 12 else messages.shown_metadata_v5

    def contenders() -> list[Contender]:
        data = cluster_metadata().encode(version)
        made = {name: partial(decode, data) for name, decode in contestants.items()}
        return [Contender(name, run, _then(shown, run)) for name, run in made.items()]

    highest = "; the highest version of aiokafka" if version == 5 else ""
    about = f"decode {TOPICS} topics of {PARTITIONS} partitions, version {version}{highest}"
    return Row(f"metadata-v{version}", about, "partition", TOPICS * PARTITIONS, contenders)


def header_row() -> Row:
    """The header that stands before each request."""

    def contenders() -> list[Contender]:
        return [Contender(name, run, _then(bytes, run)) for name, run in messages.HEADER.items()]

    return Row("header-v2", "make and encode a request header, version 2", "call", 1, contenders)


def produce_row(*, objects_too: bool) -> Row:
    """A frame to send: request header, body, length."""

    def contenders() -> list[Contender]:
        batches = tuple(Random(index).randbytes(BATCH_BYTES) for index in range(BATCHES))
        made: dict[str, Callable[[], Any]] = {}
        for name, (make, encode) in messages.PRODUCE.items():
            request = make(batches)
            made[name] = partial(_make_and_encode, make, encode, batches) if objects_too else partial(encode, request)
        return [Contender(name, run, _then(bytes, run)) for name, run in made.items()]

    what = f"header v2 and Produce v9, 1 topic, {BATCHES} partitions of {BATCH_BYTES // 1000} kB"
    if objects_too:
        return Row("produce-v9", f"make the objects of {what}, and encode them", "call", 1, contenders)
    return Row("produce-v9-encode", f"encode {what}; the body's objects are there", "call", 1, contenders)


def _make_and_encode(make: Callable[[Any], Any], encode: Callable[[Any], Any], batches: messages.Batches) -> Any:
    return encode(make(batches))


def import_row() -> Row:
    """What every process that uses kproto pays once."""

    def contenders() -> list[Contender]:
        return [Contender("kproto", lambda: float(_in_new_process(IMPORT_SECONDS)), times_itself=True)]

    def note() -> str:
        return f"third-party modules imported: {_in_new_process(IMPORTED_ROOTS)}"

    return Row("import", "import kproto.wire in a new process", "import", 1, contenders, IMPORTS, note)


def _in_new_process(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, encoding="utf-8")
    return done.stdout.strip()


ROWS: Final = (
    *(append_row(workload) for workload in WORKLOADS),
    *(decode_row(workload) for workload in WORKLOADS),
    raw_row("W3"),
    metadata_row(12),
    metadata_row(5),
    header_row(),
    produce_row(objects_too=True),
    produce_row(objects_too=False),
    *(
        compressed_row(codec, workload)
        for codec in (Compression.GZIP, Compression.LZ4, Compression.ZSTD)
        for workload in ("W1", "W2")
    ),
    import_row(),
)
