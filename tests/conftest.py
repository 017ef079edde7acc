"""What all tests share: hypothesis profiles."""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "default",
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.register_profile("coverage", settings.get_profile("default"), max_examples=25)  # each line is traced
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
