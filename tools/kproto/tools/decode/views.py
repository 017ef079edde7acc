"""Which writer shows frames, or the batches of a log segment, in which format.

Layer: tools. Each writer is imported when it is asked for: rich alone takes longer than a small capture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from kproto.tools.decode.apis import Apis
from kproto.tools.decode.model import Finding

if TYPE_CHECKING:
    from rich.text import Text

    from kproto.tools.decode.hex import HexWriter
    from kproto.tools.decode.ndjson import NdjsonWriter
    from kproto.tools.decode.tree import TreeWriter

__all__ = ["HEX", "NDJSON", "TREE", "Views"]

TREE: Final = "tree"
NDJSON: Final = "ndjson"
HEX: Final = "hex"


class Views:
    """write: takes text as it is; show: takes a line for people. given: the options of the command."""

    def __init__(
        self,
        write: Callable[[str], object],
        show: Callable[[Text], object],
        apis: Apis,
        given: Mapping[str, Any],
    ) -> None:
        self._write = write
        self._show = show
        self._apis = apis
        self._given = given

    def writer(self) -> NdjsonWriter | TreeWriter | HexWriter:
        """Of frames and of batches."""
        if self._given["form"] == NDJSON:
            from kproto.tools.decode.ndjson import NdjsonWriter

            return NdjsonWriter(self._write, raw=self._given["raw"])
        if self._given["form"] == HEX:
            from kproto.tools.decode.hex import HexWriter

            return HexWriter(self._show, self._apis, show_values=not self._given["redact"])
        from kproto.tools.decode.tree import TreeWriter

        return TreeWriter(self._show, show_values=not self._given["redact"], every=self._given["every"])

    def findings(self, found: Iterable[Finding]) -> None:
        """Those of an input as a whole."""
        for finding in found:
            if self._given["form"] == NDJSON:
                from kproto.tools.decode.ndjson import finding_text

                self._write(f'{{"batch": null, "findings": [{finding_text(finding)}]}}\n')
            else:
                from kproto.tools.decode.tree import finding_line

                self._show(finding_line(finding))
