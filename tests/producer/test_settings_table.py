"""The table of settings: a row for each, with what its declaration says."""

from __future__ import annotations

from kproto.client.settings import settings_of
from kproto.producer.config import ProducerConfig
from kproto.producer.settings_table import settings_table


def test_each_setting_has_a_row_of_six_cells():
    rows = [line.replace("\\|", "/").split(" | ") for line in settings_table().splitlines()]
    assert [row[0].strip("| `") for row in rows[2:]] == [item.name for item in settings_of(ProducerConfig)]
    assert {len(row) for row in rows} == {6}


def test_a_row_says_what_is_in_force_its_bounds_and_other_clients_names():
    table = settings_table()
    assert (
        "| `linger_ms` | `5` | 0 and more | ms that a batch waits for more records | `linger.ms` | "
        "`linger.ms`, `queue.buffering.max.ms` |\n"
    ) in table
    assert "| `enable_idempotence` | `True` |  | " in table
    assert "| `delivery_timeout_ms` | `120000` | 0 to 2147483647 | " in table
    assert "| `compression_type` | `'none'` | `none`, `gzip`, `snappy`, `lz4`, `zstd` | " in table
    assert "| `sasl_password` |  |  | the password of PLAIN and SCRAM | `sasl.jaas.config` | `sasl.password` |" in table
    assert "| `ssl_context` |  |  | " in table
