"""Which hosts may be asked, when an address comes from outside.

An answer that names an address could as well name `http://127.0.0.1:8080/admin` or the cloud's metadata service.
So a host must be listed, and unless the operator listed that very name, the address really connected to must be
public: a name that resolves to one thing when it is checked and to another when it is used gains nothing.
"""

import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

_DEFAULT_PORTS = {"http": 80, "https": 443}
# No spaces, controls or other scripts, and no backslash, which some parsers take for a slash.
_HARMLESS = re.compile(r"[!-\[\]-~]{1,4096}")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class Refused(Exception):
    """An address that may not be asked; the message says why and may be shown."""


def _bare(host: str) -> str:
    return host.strip("[]").lower()


class HostRules:
    """A list of hosts.

    Parameters
    ----------
    names : iterable of str
        Host names or addresses; `*.example.org` stands for every host below `example.org`. A host that is named
        as such may be asked on any port and at any address, one below a `*.` only on its scheme's own port
        and at public addresses.
    """

    def __init__(self, names: Iterable[str]) -> None:
        listed = [_bare(name) for name in names]
        self._exact = frozenset(name for name in listed if not name.startswith("*."))
        self._suffixes = tuple(name[1:] for name in listed if name.startswith("*."))

    def is_named(self, host: str) -> bool:
        """Say whether the operator listed this very host.

        Parameters
        ----------
        host : str
            A host, with or without the brackets of IPv6.

        Returns
        -------
        bool
            True if so.
        """
        return _bare(host) in self._exact

    def check(self, url: str) -> str:
        """Check an address that came from outside.

        Parameters
        ----------
        url : str
            The address, however hostile.

        Returns
        -------
        str
            The same address, in the form in which it was understood.

        Raises
        ------
        Refused
            If it may not be asked.
        """
        if _HARMLESS.fullmatch(url) is None:
            raise Refused("an address is malformed")
        try:
            parsed = parse_url(url)
        except LocationParseError:
            raise Refused("an address is malformed") from None
        if parsed.scheme not in _DEFAULT_PORTS or not parsed.host:
            raise Refused("an address is not http or https")
        if parsed.auth is not None:
            raise Refused("an address carries a user name")
        if not self.is_named(parsed.host):
            if not _bare(parsed.host).endswith(self._suffixes):
                raise Refused("an address is on a host that is not allowed")
            if parsed.port not in {None, _DEFAULT_PORTS[parsed.scheme]}:
                raise Refused("an address is on a port that is not allowed")
        return parsed.url


def host_of(url: str) -> str:
    """Name the host of an address from the settings.

    Parameters
    ----------
    url : str
        The address.

    Returns
    -------
    str
        Its host, without port and brackets; empty if there is none.
    """
    return _bare(urlsplit(url).hostname or "")


def is_public(address: str) -> bool:
    """Say whether an IP address is one of the open Internet.

    Parameters
    ----------
    address : str
        IPv4 or IPv6, as the operating system gives it for a connected socket.

    Returns
    -------
    bool
        False for private, loopback, link-local, multicast and other special ones, and for IPv6 forms of those.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        nat64 = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else None
        teredo = ip.teredo[1] if ip.teredo else None
        for embedded in (ip.ipv4_mapped, ip.sixtofour, teredo, nat64):
            if embedded is not None:
                return is_public(str(embedded))
    return ip.is_global and not ip.is_multicast
