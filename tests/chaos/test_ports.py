"""Ports that no outgoing connection is given."""

from __future__ import annotations

import socket

from chaos.ports import EPHEMERAL_FROM, LOWEST, steady_ports


def test_ports_are_different_and_below_those_of_outgoing_connections():
    ports = steady_ports(30)
    assert len(set(ports)) == 30 and all(LOWEST <= port < EPHEMERAL_FROM for port in ports)


def test_a_port_that_is_taken_is_not_given(monkeypatch):
    (taken,) = steady_ports(1)
    monkeypatch.setattr("chaos.ports.LOWEST", taken)
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", taken))
        holder.listen()
        assert taken not in steady_ports(200)
