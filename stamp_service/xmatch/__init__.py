"""Cross-matching: which entries of a catalogue lie where alerts are."""

from stamp_service.xmatch.asking import get_xmatches
from stamp_service.xmatch.named import NamedCatalogues
from stamp_service.xmatch.positions import get_alerts_ra_dec

__all__ = ["NamedCatalogues", "get_alerts_ra_dec", "get_xmatches"]
