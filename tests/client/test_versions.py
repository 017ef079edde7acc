"""What both sides speak: the highest common version, or an error that shows both ranges."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.client.errors import UnsupportedVersionError
from kproto.client.versions import ApiVersions, common
from kproto.wire import (
    REQUESTS,
    ApiKey,
    ApiVersionsResponse,
    MetadataRequest,
    ProduceRequest,
    Request,
    SaslHandshakeRequest,
)
from kproto.wire.strategies import messages

INT16 = st.integers(-(2**15), 2**15 - 1)
RANGES = st.builds(range, INT16, INT16)
SMALL = st.builds(range, st.integers(-3, 20), st.integers(-3, 20))
API = st.sampled_from(list(REQUESTS.values()))


class Unheard(Request, api_key=12_345, versions="0-2", flexible="none"):
    """An API that Kafka does not have."""


def listed(*apis: tuple[int, int, int]) -> ApiVersions:
    entries = [ApiVersionsResponse.ApiVersion(api_key=key, min_version=low, max_version=top) for key, low, top in apis]
    return ApiVersions.of(ApiVersionsResponse(api_keys=entries))


def test_apiv_4_the_highest_common_version_is_chosen():
    assert listed((ApiKey.METADATA, 0, 9)).negotiate(MetadataRequest) == 9
    assert listed((ApiKey.METADATA, 4, 99)).negotiate(MetadataRequest) == MetadataRequest.versions[-1]
    assert listed((ApiKey.PRODUCE, 3, 7)).negotiate(ProduceRequest) == 7, "a key of 0 is a key"


def test_apiv_4_the_callers_bounds_count_as_well():
    versions = listed((ApiKey.PRODUCE, 0, 13))
    assert versions.negotiate(ProduceRequest, within=range(13)) == 12
    assert versions.negotiate(ProduceRequest, within=range(3, 4)) == 3


def test_apiv_4_without_a_common_version_the_error_shows_both_ranges():
    with pytest.raises(UnsupportedVersionError) as caught:
        listed((ApiKey.METADATA, 20, 30)).negotiate(MetadataRequest)
    assert str(caught.value) == (
        "Metadata: we speak 0-13, the broker 20-30; use a broker or a kproto whose versions overlap"
    )
    assert (caught.value.ours, caught.value.theirs) == (range(14), range(20, 31))


def test_apiv_4_a_missing_api_is_not_spoken():
    with pytest.raises(UnsupportedVersionError, match=r"the broker does not speak SaslHandshake \(we speak 1-1\)"):
        listed((ApiKey.METADATA, 0, 9)).negotiate(SaslHandshakeRequest, within=range(1, 2))


def test_an_api_that_has_no_name_is_shown_by_its_class():
    with pytest.raises(UnsupportedVersionError, match="does not speak Unheard "):
        listed().negotiate(Unheard)


def test_bounds_that_exclude_all_we_speak_leave_nothing():
    with pytest.raises(UnsupportedVersionError, match="Metadata: we speak none, the broker 0-9"):
        listed((ApiKey.METADATA, 0, 9)).negotiate(MetadataRequest, within=range(50, 60))


@pytest.mark.parametrize(("low", "top"), [(5, 4), (0, -1), (7, -(2**15))])
def test_a_range_that_ends_before_it_begins_is_none(low, top):
    versions = listed((ApiKey.METADATA, low, top))
    assert not versions.speaks(MetadataRequest, 5)
    with pytest.raises(UnsupportedVersionError, match="does not speak Metadata"):
        versions.negotiate(MetadataRequest)


def test_apis_that_nobody_knows_are_kept():
    assert listed((9_999, 0, 1), (-5, 0, 0)).ranges == {9_999: range(2), -5: range(1)}


def test_it_speaks_what_it_lists():
    versions = listed((ApiKey.METADATA, 4, 9))
    assert [version for version in range(14) if versions.speaks(MetadataRequest, version)] == [4, 5, 6, 7, 8, 9]
    assert not versions.speaks(ProduceRequest, 5)


def test_it_is_an_immutable_value():
    mine = {18: range(3)}
    versions = ApiVersions(mine)
    mine[18] = range(9)
    assert versions == ApiVersions({18: range(3)}) != ApiVersions({18: range(4)})
    assert versions != {18: range(3)}
    assert hash(versions) == hash(ApiVersions({18: range(3)}))
    assert repr(versions) == "<ApiVersions of 1 APIs>"
    with pytest.raises(TypeError):
        versions.ranges[18] = range(5)


@given(SMALL, SMALL)
def test_common_versions_are_in_both(one, other):
    assert set(common(one, other)) == set(one) & set(other)


@given(API, RANGES, st.none() | SMALL)
def test_apiv_4_a_negotiated_version_is_one_that_all_allow(request, theirs, within):
    versions = ApiVersions({int(request.api_key): theirs})
    allowed = set(request.versions) & set(theirs) & set(request.versions if within is None else within)
    if allowed:
        assert versions.negotiate(request, within) == max(allowed)
    else:
        with pytest.raises(UnsupportedVersionError):
            versions.negotiate(request, within)


@given(messages(ApiVersionsResponse, 4))
def test_whatever_a_broker_lists_is_read(response):
    versions = ApiVersions.of(response)
    assert set(versions.ranges) == {api.api_key for api in response.api_keys}
