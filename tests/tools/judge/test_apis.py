"""What is announced is what is served."""

from __future__ import annotations

from kproto.tools.judge.apis import SERVED, VERSIONS
from kproto.wire import ApiKey


def test_every_api_that_is_announced_is_served():
    assert set(VERSIONS) == set(SERVED)
    for key, versions in VERSIONS.items():
        assert versions.start == SERVED[key].versions.start
        assert versions.stop <= SERVED[key].versions.stop


def test_kafka_keeps_its_last_init_producer_id_to_itself():
    assert VERSIONS[ApiKey.INIT_PRODUCER_ID].stop == SERVED[ApiKey.INIT_PRODUCER_ID].versions.stop - 1


def test_all_are_kafkas():
    for key, cls in SERVED.items():
        assert cls.versions.stop <= ApiKey(key).last_version + 1
