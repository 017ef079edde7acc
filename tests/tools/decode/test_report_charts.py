"""Charts: well-formed, and as high as the numbers."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from kproto.tools.decode.histogram import Histogram
from kproto.tools.decode.report_charts import histogram_chart, trend_chart
from kproto.tools.decode.report_trend import Trend


def trend_of(answers):
    trend = Trend()
    for answer in answers:
        trend.add(*answer)
    return trend


@given(st.lists(st.tuples(st.integers(0, 1 << 62), st.integers(0, 1 << 62), st.booleans()), min_size=1, max_size=20))
def test_any_answers_can_be_drawn(answers):
    ET.fromstring(trend_chart("a<b>&", trend_of(answers)))
    histogram = Histogram()
    for _, latency, _ in answers:
        histogram.add(latency)
    ET.fromstring(histogram_chart('a"<b>&', histogram))


def test_nothing_is_not_drawn():
    assert trend_chart("x", Trend()) == histogram_chart("x", Histogram()) == ""


def test_each_step_tells_its_numbers():
    chart = trend_chart("Produce", trend_of([(0, 1000, False), (0, 4000, True), (5_000_000, 2000, False)]))
    told = [each.text for each in ET.fromstring(chart).iter("title")]
    assert told[0] == "00:00:00.000000\n2 answers, 1 with errors\np50 1.0 ms\np99 4.0 ms\nmax 4.0 ms"
    assert told[1].startswith("00:00:00.005000\n1 answers, 0 with errors")
    assert chart.count('class="failed"') == 1


def test_columns_are_as_high_as_their_counts():
    histogram = Histogram()
    for number in [1000] * 80 + [2000] * 40:
        histogram.add(number)
    columns = list(ET.fromstring(histogram_chart("x", histogram)).iter("rect"))
    assert [float(each.get("height")) for each in columns] == [154, 77]
