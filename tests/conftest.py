"""What all tests share: hypothesis profiles."""

import os

import pytest
from hypothesis import HealthCheck, settings

# Helpers that assert say what they found, as tests do.
pytest.register_assert_rewrite("brokers.produced", "brokers.judge", "producer.endings", "producer.settling")

settings.register_profile(
    "default",
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
# Few examples, as each line is traced, and always the same: a line that only chance reaches would be missed by chance.
settings.register_profile("coverage", settings.get_profile("default"), max_examples=25, derandomize=True, database=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
