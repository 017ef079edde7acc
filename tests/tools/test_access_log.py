"""A log that is the same each time, and whose lines are all different."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from itertools import islice

from kproto.tools.access_log import access_log

DOCUMENTATION = [ip_network(f"{network}.0/24") for network in ("192.0.2", "198.51.100", "203.0.113")]


def test_the_same_each_time_and_for_each_length():
    assert [*access_log(500)] == [*access_log(500)] == [*islice(access_log(1000), 500)]
    assert [*access_log(500)] != [*access_log(500, seed=1)]


def test_each_line_is_one_of_a_kind_and_its_key_is_its_address():
    log = [*access_log(5000)]
    assert len({line for _, line in log}) == 5000
    shape = rb'([0-9.]+) - - \[[^]]+\] "GET /\S* HTTP/1.1" [0-9]{3} [0-9]+ "-" "[^"]+" request=([0-9]+)'
    for number, (key, line) in enumerate(log):
        match = re.fullmatch(shape, line)
        assert match is not None
        assert (match[1], int(match[2])) == (key, number)
        assert any(ip_address(key.decode()) in network for network in DOCUMENTATION)
