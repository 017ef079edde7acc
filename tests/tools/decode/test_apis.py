"""Which classes decode which API, and what an API is called."""

from __future__ import annotations

import pytest
from tools.decode.test_conversation import FETCH

from kproto.tools.decode.apis import Apis, api_name
from kproto.wire import REQUESTS, RESPONSES, ApiKey


def test_the_declared_apis_are_there_and_go_first():
    apis = Apis()
    assert dict(apis.requests) == dict(REQUESTS) and dict(apis.responses) == dict(RESPONSES)
    more = Apis(FETCH)
    assert more.requests[1] is FETCH["FetchRequest"] and more.responses[1] is FETCH["FetchResponse"]
    assert all(more.requests[key] is cls for key, cls in REQUESTS.items())


@pytest.mark.parametrize(
    ("key", "name"), [(0, "Produce"), (ApiKey.FETCH, "Fetch"), (94, "UnregisterController"), (4711, "API 4711")]
)
def test_names(key, name):
    assert api_name(key) == name
