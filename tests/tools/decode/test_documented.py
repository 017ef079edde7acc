"""docs/decode.md says what the command does."""

from __future__ import annotations

import re

from tools.decode.documented import PAGE, filled
from tools.decode.test_ndjson import BATCH_NAMES, REQUEST_NAMES, RESPONSE_NAMES

from kproto.tools.decode.decode_command import decode
from kproto.tools.decode.ndjson import FORMAT_VERSION

TEXT = PAGE.read_text(encoding="utf-8")


def test_the_examples_print_what_stands_there():
    assert filled(TEXT) == TEXT


def test_every_name_of_a_line_is_there():
    for names in (REQUEST_NAMES, RESPONSE_NAMES, BATCH_NAMES):
        assert not [name for name in names.split() if f"`{name}`" not in TEXT]
    assert f"## ndjson, version {FORMAT_VERSION}\n" in TEXT


def test_every_filter_is_there():
    filters = set(re.findall(r"`(--[a-z-]+)", TEXT))
    known = {name for parameter in decode.params for name in (*parameter.opts, *parameter.secondary_opts)}
    assert filters <= known | {"--format"}
    assert {"--api", "--topic", "--partition", "--client-id", "--conn", "--corr", "--error", "--slow"} <= filters


def test_the_codes_of_these_stages_are_there():
    for code in ("crc", "bad-body", "bad-records", "impossible-frame", "unanswered", "guess", "unmatched", "fallback"):
        assert f"`{code}`" in TEXT
