"""Pages of the documentation that are read off the code: `python -m kproto.tools.pages settings > docs/settings.md`.

Layer: tools. Owns no fact: the tables stand in the producer, the session in its capture.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final

from kproto.producer.metrics import describe
from kproto.producer.outcome import OUTCOMES, Action, Outcome
from kproto.producer.settings_table import settings_table
from kproto.tools.wire_session_page import wire_session_page
from kproto.wire import ErrorCode

__all__ = ["PAGES", "main", "metrics_page", "outcomes_page", "settings_page"]

GENERATED: Final = "Generated from the code by `make docs`; a test holds it to it."

ACTIONS: Final = {
    Action.COMPLETE: "delivered, at the offset of the answer",
    Action.COMPLETE_DUPLICATE: "delivered before; the broker no longer knows where",
    Action.RETRY: "sent again, unchanged, after a backoff",
    Action.SPLIT: "sent again in smaller batches; a single record fails",
    Action.OUT_OF_ORDER: "sent again; under new numbers where what comes before it was lost",
    Action.UNKNOWN_PRODUCER: "sent again under new numbers, unless an earlier attempt may have written it",
    Action.FAIL: "its records fail; the producer goes on",
    Action.FATAL: "its records fail, and with idempotence the producer can send nothing any more",
}


def settings_page() -> str:
    """Every setting of a producer."""
    return f"""# Settings

{GENERATED} Names are Java's in snake_case; `config_from_properties` takes those of Java and of librdkafka.
Times are milliseconds, sizes bytes. An unknown name raises with a suggestion, as do settings that exclude each other.

{settings_table()}"""


def outcomes_page() -> str:
    """What a producer does on each error code."""
    lines = [
        "| code | name | what becomes of the batch | may it be written? | metadata |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [_row(ErrorCode(code), outcome) for code, outcome in sorted(OUTCOMES.items())]
    return f"""# Outcomes

{GENERATED} What a producer does with a batch that a broker answers so. A code that is not here is
retried where Kafka calls it retriable, and fails where it does not; it leaves open whether the batch was written.

"May it be written?" is what a failed record's `written` is made of: `WriteStatus.NO` where no attempt left it open,
else `WriteStatus.POSSIBLY`.

{chr(10).join(lines)}
"""


def metrics_page() -> str:
    """Every metric of a producer."""
    return f"""# Metrics

{GENERATED} `producer.metrics()` gives them as a dict; names, groups and tags are Java's.

{describe()}"""


def _row(code: ErrorCode, outcome: Outcome) -> str:
    written = (
        "yes"
        if outcome.action in (Action.COMPLETE, Action.COMPLETE_DUPLICATE)
        else "possibly"
        if outcome.open
        else "no"
    )
    refresh = "refreshed" if code.invalid_metadata else ""
    return f"| {int(code)} | {code.name} | {ACTIONS[outcome.action]} | {written} | {refresh} |"


PAGES: Final[dict[str, Callable[[], str]]] = {
    "settings": settings_page,
    "outcomes": outcomes_page,
    "metrics": metrics_page,
    "wire-session": lambda: wire_session_page(GENERATED),
}


def main(name: str) -> None:
    """Print a page."""
    sys.stdout.write(PAGES[name]())


if __name__ == "__main__":
    main(sys.argv[1])
