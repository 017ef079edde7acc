"""What tshark reads in a capture, as values: nothing of `-T json` is lost, of names that come twice neither."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

READ_SECONDS = 120
UNSUPPORTED = re.compile(r"Unsupported (\w+) version. Supports v(\d+)(?:-(\d+))?\.")
ANNOUNCED = "API Version "  # begins the label of what a broker says of an API
EXPERT = "_ws.expert"
MALFORMED = "_ws.malformed"

Pairs = list[tuple[str, Any]]


class TsharkFrame(NamedTuple):
    """A frame of Kafka's protocol. packet: the number of the one that ends it; source, target: "host:port".

    fields: name and text of each, in the order of the bytes. complaints: what it says is wrong with the frame; what it
    says of APIs that a broker announces is not among them.
    """

    packet: int
    source: str
    target: str
    fields: list[tuple[str, str]]
    complaints: list[str]

    @property
    def unsupported(self) -> bool:
        """Whether it says that it does not know the version."""
        return any(UNSUPPORTED.match(each) for each in self.complaints)


@cache
def tshark_version() -> str:
    """Such as "4.0.17"."""
    shown = subprocess.run(["tshark", "--version"], capture_output=True, text=True, timeout=30, check=True).stdout
    found = re.search(r"\b\d+\.\d+\.\d+\b", shown)
    assert found, shown
    return found[0]


def tshark_frames(path: Path, *ports: int) -> list[TsharkFrame]:
    """All frames from and to the ports, in the order of their last packets."""
    command = ["tshark", "-r", str(path), "-n", "-Y", "kafka", "-T", "json", "-o", "tcp.reassemble_out_of_order:TRUE"]
    for port in ports:
        command += ["-d", f"tcp.port=={port},kafka"]
    environment = {**os.environ, "TZ": "UTC", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, capture_output=True, timeout=READ_SECONDS, check=True, env=environment)
    # Some of what it shows of damaged strings is no UTF-8.
    packets = json.loads(done.stdout.decode(errors="replace"), object_pairs_hook=list)
    return [frame for packet in packets for frame in _frames(dict(dict(packet)["_source"])["layers"])]


def _frames(layers: Pairs) -> Iterator[TsharkFrame]:
    found: list[TsharkFrame] = []
    first = dict(layers)
    ip, tcp = dict(first["ip"]), dict(first["tcp"])
    source, target = (f"{ip[f'ip.{end}']}:{tcp[f'tcp.{end}port']}" for end in ("src", "dst"))
    for name, inner in layers:
        if name == "kafka":
            frame = TsharkFrame(int(dict(first["frame"])["frame.number"]), source, target, [], [])
            _read(inner or [], frame, announced=False)
            found.append(frame)
        elif name == MALFORMED:  # stands behind the frame that it is about
            found[-1].complaints.append("Malformed")
    yield from found


def _read(pairs: Pairs, frame: TsharkFrame, announced: bool) -> None:
    for name, value in pairs:
        if name == EXPERT:
            if not announced:
                frame.complaints.append(dict(value)["_ws.expert.message"])
        elif name == MALFORMED:
            frame.complaints.append("Malformed")
        elif isinstance(value, list):
            _read(value, frame, announced or name.startswith(ANNOUNCED))
        elif name.startswith("kafka."):
            frame.fields.append((name, value))
