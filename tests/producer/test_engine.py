"""A producer's parts, put together: what both faces ask, and what the end of a pass brings."""

from __future__ import annotations

import logging
import traceback
from contextlib import nullcontext
from types import SimpleNamespace
from uuid import UUID

import pytest
from producer.queueing import config_of

from kproto.client import Cluster, KafkaTimeoutError, Node
from kproto.client.cluster import Partition
from kproto.producer import engine as module
from kproto.producer.engine import Engine
from kproto.producer.errors import (
    InvalidTopicError,
    MessageSizeTooLargeError,
    ProducerClosedError,
    ProducerFatalError,
    TopicAuthorizationFailedError,
)
from kproto.producer.partitioner import PartitionChoices
from kproto.wire import ErrorCode, KafkaError


def engine_of(**settings):
    return Engine(config_of(**settings), lock=nullcontext())
