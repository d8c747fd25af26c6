"""From where a request comes, as far as that can be believed: what limits are counted by."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest

LINE_BITS = 64  # of an IPv6 address: the rest of it whoever has the line chooses freely
NEIGHBOURS_BITS = 24  # of an IPv4 address: what is kept where it should tell little of somebody
TRANSLATED = IPv6Network("64:ff9b::/96")  # by NAT64: all of IPv4 on one line


def visitor_address(request: HttpRequest) -> str | None:
    """The visitor's IPv4 address, or the first one of their IPv6 line; None where the connection has none (a socket).

    Each of PROXY_COUNT proxies has added, at the right end of X-Forwarded-For, whom it was asked by. So the first of
    ours named the visitor that many places from the right, and all that stands before it the visitor may have invented.
    A header that is shorter, or has something else in that place, did not come by way of all of our proxies.
    """
    connected = _line(request.META.get("REMOTE_ADDR", ""))
    named = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    if settings.PROXY_COUNT and len(named) >= settings.PROXY_COUNT:
        return _line(named[-settings.PROXY_COUNT]) or connected
    return connected


def network_of(request: HttpRequest) -> str:
    """The visitor's network, by its first address: of IPv4 the 256 around theirs. `::` where there is none."""
    address = ip_address(visitor_address(request) or "::")
    bits = LINE_BITS if isinstance(address, IPv6Address) else NEIGHBOURS_BITS
    return str(ip_network((address, bits), strict=False).network_address)


def _line(written: str) -> str | None:
    """With a port too, as some proxies write it: 192.0.2.1:4711, [2001:db8::1]:4711."""
    bare = written.strip().rpartition("]")[0].lstrip("[") or written.strip()
    if bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        address: IPv4Address | IPv6Address = ip_address(bare)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if carried := _carried(address):
            return str(carried)
        return str(IPv6Network((int(address), LINE_BITS), strict=False).network_address)
    return str(address)


def _carried(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address in it, where it stands for one: such visitors are as many as these, not as their lines."""
    if address in TRANSLATED:
        return IPv4Address(int(address) % 2**32)
    return address.ipv4_mapped or address.sixtofour
