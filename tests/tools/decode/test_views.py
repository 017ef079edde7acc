"""Each format has its writer, and findings of a whole input their place."""

from __future__ import annotations

import json

import pytest

from kproto.tools.decode.apis import Apis
from kproto.tools.decode.hex import HexWriter
from kproto.tools.decode.model import Finding
from kproto.tools.decode.ndjson import NdjsonWriter
from kproto.tools.decode.tree import TreeWriter
from kproto.tools.decode.views import HEX, NDJSON, TREE, Views


def views(form):
    written, lines = [], []
    given = {"form": form, "raw": False, "redact": True, "every": False}
    return Views(written.append, lambda line: lines.append(line.plain), Apis(), given), written, lines


@pytest.mark.parametrize(("form", "cls"), [(HEX, HexWriter), (NDJSON, NdjsonWriter), (TREE, TreeWriter)])
def test_writers(form, cls):
    assert type(views(form)[0].writer()) is cls


@pytest.mark.parametrize("form", [HEX, NDJSON, TREE])
def test_findings(form):
    made, written, lines = views(form)
    made.findings([Finding("segment-cut", "within a batch")])
    if form == NDJSON:
        line = json.loads(written[0])
        assert (line["batch"], line["findings"][0]["code"]) == (None, "segment-cut")
    else:
        assert lines == ["  FINDING segment-cut: within a batch"]
