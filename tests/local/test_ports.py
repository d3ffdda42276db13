"""Ports for servers that are killed and restarted on the same port."""

import pytest

from pipeline.local.services.ports import free_ports

# ip_local_port_range of Linux begins here, and that of other kernels higher.
_OUTGOING = 32_768


@pytest.mark.parametrize("offset", [0, 10_000])
def test_free_ports_are_outside_the_range_of_outgoing_connections(offset: int) -> None:
    ports = free_ports(200, offset=offset)
    assert len({*ports}) == 200
    assert not offset or {port + offset for port in ports}.isdisjoint(ports)
    assert all(port > 1024 and port + offset < _OUTGOING for port in ports)
