"""The headers of packs, which are needed to put packets together: each kind is read once."""

from stamp_service.errors import PacketCorrupt
from stamp_service.packets.bounded import Bounded
from stamp_service.stores.packed.blocks import PackHeader, read_header
from stamp_service.stores.packed.names import PackName
from stamp_service.stores.packed.places import Packs
from stamp_service.stores.packed.templates import Template

# Most headers are 20 to 80 kB: a schema twice.
_FIRST_BYTES = 128 * 1024
_MAX_BYTES = 32 * 1024 * 1024
_MAX_TEMPLATES = 64


class Headers:
    """The headers of a survey's packs.

    Parameters
    ----------
    packs : Packs
        The packs.
    """

    def __init__(self, packs: Packs) -> None:
        self._packs = packs
        self._templates: Bounded[bytes, Template] = Bounded(_MAX_TEMPLATES)

    def template(self, pack: PackName, digest: bytes) -> Template:
        """Find the template of a digest; each is read from the first pack that needs it, and kept.

        Parameters
        ----------
        pack : PackName
            A pack with this template.
        digest : bytes
            The template's digest, from a block.

        Returns
        -------
        Template
            The pack's template.

        Raises
        ------
        PacketCorrupt
            If the pack's header is damaged.
        StoreUnavailable
            If it cannot be read.
        """
        known = self._templates.get(digest)
        if known is None:
            known = self.read(pack).template
            self._templates.put(known.digest, known)
        return known

    def read(self, pack: PackName) -> PackHeader:
        """Read a pack's header.

        Parameters
        ----------
        pack : PackName
            The pack.

        Returns
        -------
        PackHeader
            Its header.

        Raises
        ------
        PacketCorrupt
            If it is damaged.
        StoreUnavailable
            If it cannot be read.
        """
        length = _FIRST_BYTES
        while length <= _MAX_BYTES:
            data = self._packs.read(pack, 0, length)
            header = read_header(data)
            if header is not None and header.marker == pack.marker:
                return header
            if len(data) < length:
                break
            length *= 4
        raise PacketCorrupt("the header of its pack is damaged")
