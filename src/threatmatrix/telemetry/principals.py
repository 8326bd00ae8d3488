"""Who asked: the first field of an event that tells it, in the order that ``systems.yaml`` gives."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

from threatmatrix.model.system import PrincipalMapping, TellBy

__all__ = ["Networks", "Teller"]

_CACHED = 8192


class Networks:
    """Network → principal. The longest prefix wins; one look-up for each distinct length, whatever the number."""

    def __init__(self, addresses: Iterable[tuple[str, str]]) -> None:
        self._by_length: dict[tuple[int, int], dict[int, str]] = {}
        for written, principal in addresses:
            network = ip_network(written)
            shift = network.max_prefixlen - network.prefixlen
            table = self._by_length.setdefault((network.version, shift), {})
            table.setdefault(int(network.network_address) >> shift, principal)
        self._lengths = sorted(self._by_length, key=lambda key: key[1])
        self.find = lru_cache(maxsize=_CACHED)(self._find)

    def __bool__(self) -> bool:
        return bool(self._lengths)

    def _find(self, address: str) -> str | None:
        """The principal behind an address; None for text that is no address. An IPv4 address in IPv6 form is one."""
        try:
            parsed = ip_address(address)
        except ValueError:
            return None
        if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        number = int(parsed)
        for key in self._lengths:
            version, shift = key
            if version == parsed.version:
                found = self._by_length[key].get(number >> shift)
                if found is not None:
                    return found
        return None


class Teller:
    """Tells the principals of one system.

    A principal that the log states stands before everything that ``tell_by`` does not put before it. Networks
    answer where ``src_ip`` stands in ``tell_by``, else at the end; an address that is in none of them tells nobody
    unless ``src_ip`` is listed.
    """

    def __init__(self, mapping: PrincipalMapping) -> None:
        order: tuple[TellBy, ...] = mapping.tell_by
        self._order = order if "principal" in order else ("principal", *order)
        self._networks = Networks(mapping.addresses)
        #: whether a principal that the log states always stays
        self.keeps_principal = self._order[0] == "principal"

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that are looked at, in order."""
        if self._networks and "src_ip" not in self._order:
            return (*self._order, "src_ip")
        return self._order

    def tell(self, principal: str | None, key_id: str | None, session: str | None, src_ip: str | None) -> str | None:
        """The principal, or None where nothing tells."""
        for field in self._order:
            if field == "principal":
                value = principal
            elif field == "key_id":
                value = key_id
            elif field == "session":
                value = session
            else:
                value = (self._networks.find(src_ip) if src_ip is not None and self._networks else None) or src_ip
            if value is not None:
                return value
        if src_ip is not None and self._networks:
            return self._networks.find(src_ip)
        return None
