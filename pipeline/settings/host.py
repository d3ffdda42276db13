"""The hosts under which a browser reaches the function: names, which DNS may lead elsewhere, and addresses."""

import re
from ipaddress import ip_address

LOCALHOST = "localhost"
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9_.-]+))(?::\d{1,5})?", re.IGNORECASE)


def host_name(host: str) -> str:
    """Return the name or the address in a header Host, in lower case and without the port; '' if there is none."""
    match = _HOST.fullmatch(host.strip())
    return (match[1] or match[2]).lower().removesuffix(".") if match else ""


def is_local(name: str) -> bool:
    """Return whether no DNS server decides where this name leads: an address, or this machine itself."""
    try:
        ip_address(name)
    except ValueError:
        return name == LOCALHOST
    return True
