"""librdkafka's mock cluster, which confluent-kafka's wheel carries: an independent server, with faults to order.

Its API is in C and experimental: here by ctypes. What librdkafka 2.16's does its own way: it checks no sequences;
ApiVersions from 3 on gets error 35 with a body that is of no version; any other version that it lacks ends the
connection; Metadata from 9 on has one byte too many at the end; Produce 5 lacks its log_start_offset.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from ctypes import POINTER, c_char_p, c_int, c_int16, c_int32, c_size_t, c_void_p
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

import confluent_kafka
import pytest

MISSING = "librdkafka's mock cluster is missing: this build of confluent-kafka does not export it"
ERROR_SIZE = 512
PRODUCER = 0
TRANSPORT = -195  # closes the connection instead of an answer

FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "rd_kafka_conf_new": (c_void_p, []),
    "rd_kafka_conf_set": (c_int, [c_void_p, c_char_p, c_char_p, c_char_p, c_size_t]),
    "rd_kafka_new": (c_void_p, [c_int, c_void_p, c_char_p, c_size_t]),
    "rd_kafka_destroy": (None, [c_void_p]),
    "rd_kafka_mock_cluster_new": (c_void_p, [c_void_p, c_int]),
    "rd_kafka_mock_cluster_destroy": (None, [c_void_p]),
    "rd_kafka_mock_cluster_bootstraps": (c_char_p, [c_void_p]),
    "rd_kafka_mock_topic_create": (c_int, [c_void_p, c_char_p, c_int, c_int]),
    "rd_kafka_mock_topic_set_error": (None, [c_void_p, c_char_p, c_int]),
    "rd_kafka_mock_push_request_errors_array": (None, [c_void_p, c_int16, c_size_t, POINTER(c_int)]),
    "rd_kafka_mock_clear_request_errors": (None, [c_void_p, c_int16]),
    "rd_kafka_mock_partition_set_leader": (c_int, [c_void_p, c_char_p, c_int32, c_int32]),
    "rd_kafka_mock_broker_set_down": (c_int, [c_void_p, c_int32]),
    "rd_kafka_mock_broker_set_up": (c_int, [c_void_p, c_int32]),
    "rd_kafka_mock_broker_set_rtt": (c_int, [c_void_p, c_int32, c_int]),
    "rd_kafka_mock_set_apiversion": (c_int, [c_void_p, c_int16, c_int16, c_int16]),
}


@cache
def librdkafka() -> ctypes.CDLL:
    """The bundled library. Skips the test where it or a function is missing; with KPROTO_REQUIRE_MOCK=1 fails."""
    package = Path(confluent_kafka.__file__).parent
    places = [(package.parent / "confluent_kafka.libs", "librdkafka*"), (package / ".dylibs", "librdkafka*")]
    for folder, pattern in places:
        for path in sorted(folder.glob(pattern)):
            library = ctypes.CDLL(str(path))
            if all(hasattr(library, name) for name in FUNCTIONS):
                for name, (result, arguments) in FUNCTIONS.items():
                    function = getattr(library, name)
                    function.restype, function.argtypes = result, arguments
                return library
    if os.environ.get("KPROTO_REQUIRE_MOCK"):
        pytest.fail(MISSING)
    pytest.skip(MISSING)


class MockCluster:
    """`with MockCluster(brokers=3) as cluster:`; brokers have the ids 1 to 3, each on a port of the loopback.

    Topics are created by asking for them, with 4 partitions. Methods raise RuntimeError with librdkafka's error number.
    """

    def __init__(self, brokers: int = 3) -> None:
        self.brokers = brokers
        self._client: int | None = None
        self._cluster: int | None = None

    def __enter__(self) -> MockCluster:
        library = librdkafka()
        error = ctypes.create_string_buffer(ERROR_SIZE)
        settings = library.rd_kafka_conf_new()
        library.rd_kafka_conf_set(settings, b"log_level", b"0", error, ERROR_SIZE)
        self._client = library.rd_kafka_new(PRODUCER, settings, error, ERROR_SIZE)
        if self._client is None:
            raise RuntimeError(f"librdkafka: {error.value.decode()}")
        self._cluster = library.rd_kafka_mock_cluster_new(self._client, self.brokers)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take it down. May be called again."""
        cluster, self._cluster = self._cluster, None
        client, self._client = self._client, None
        if cluster is not None:
            librdkafka().rd_kafka_mock_cluster_destroy(cluster)
        if client is not None:
            librdkafka().rd_kafka_destroy(client)

    @property
    def bootstrap_servers(self) -> str:
        """host:port of each broker, with commas between."""
        bootstraps: bytes = librdkafka().rd_kafka_mock_cluster_bootstraps(self._cluster)
        return bootstraps.decode()

    def create_topic(self, name: str, partitions: int = 1, replicas: int = 1) -> None:
        """A topic of a name that is new."""
        self._checked("rd_kafka_mock_topic_create", name.encode(), partitions, replicas)

    def set_topic_error(self, name: str, error: int) -> None:
        """What Metadata tells of a topic; 0 for no error."""
        librdkafka().rd_kafka_mock_topic_set_error(self._cluster, name.encode(), error)

    def push_errors(self, api: int, errors: Sequence[int]) -> None:
        """The error codes of the next requests of an API, on any broker; TRANSPORT closes the connection."""
        array = (c_int * len(errors))(*errors)
        librdkafka().rd_kafka_mock_push_request_errors_array(self._cluster, api, len(errors), array)

    def clear_errors(self, api: int) -> None:
        """Forget what is pushed."""
        librdkafka().rd_kafka_mock_clear_request_errors(self._cluster, api)

    def set_leader(self, topic: str, partition: int, broker: int) -> None:
        """Who leads a partition; -1 for nobody."""
        self._checked("rd_kafka_mock_partition_set_leader", topic.encode(), partition, broker)

    def set_down(self, broker: int = -1) -> None:
        """Close its connections, refuse new ones; -1 for all brokers."""
        self._checked("rd_kafka_mock_broker_set_down", broker)

    def set_up(self, broker: int = -1) -> None:
        """It is back."""
        self._checked("rd_kafka_mock_broker_set_up", broker)

    def set_rtt(self, milliseconds: int, broker: int = -1) -> None:
        """How long each answer takes; answers of one connection wait for each other."""
        self._checked("rd_kafka_mock_broker_set_rtt", broker, milliseconds)

    def set_api_version(self, api: int, versions: range | None) -> None:
        """The versions of an API; None for none."""
        first, last = (-1, -1) if versions is None else (versions.start, versions.stop - 1)
        self._checked("rd_kafka_mock_set_apiversion", api, first, last)

    def _checked(self, function: str, *arguments: Any) -> None:
        error = getattr(librdkafka(), function)(self._cluster, *arguments)
        if error:
            raise RuntimeError(f"librdkafka: {function} returned {error}")
