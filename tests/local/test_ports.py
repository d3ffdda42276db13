"""Ports for servers that are killed and come back on the same one."""

import pytest

from pipeline.local.services.ports import free_ports

# ip_local_port_range of Linux begins here, that of other kernels higher.
_OUTGOING = 32_768


@pytest.mark.parametrize("offset", [0, 10_000])
def test_no_outgoing_connection_can_take_a_port_while_its_server_is_down(offset: int) -> None:
    ports = free_ports(200, offset=offset)
    assert len({*ports}) == 200
    assert all(port > 1024 and port + offset < _OUTGOING for port in ports)
