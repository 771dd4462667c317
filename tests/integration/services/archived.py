"""What an archive step has to leave behind: every alert once, in store and index, byte for byte."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import fastavro

from stamp_service.index import AlertIndex, open_index
from stamp_service.settings import Settings, load_settings
from stamp_service.stores import ListedStore, Store, open_stores
from stamp_service.surveys import load_surveys
from tests.integration.services.archiving import Archiving

Packets = dict[tuple[str, str], bytes]
# What the step does with a batch, in this order.
STAGES = ("consume", "process", "store", "index", "produce", "commit")


def settings_of(archive: Archiving, **more: object) -> Settings:
    """Look at what steps have archived with settings of one's own."""
    return load_settings(data_dir=archive.data_dir, **more)


def letters_of(archive: Archiving) -> Mapping[int, str]:
    """Offsets and reasons of the dead letters."""
    if archive.letters not in archive.kafka.topics():
        return {}
    headers = [dict(letter.headers()) for letter in archive.kafka.read(archive.letters)]
    return {int(header["offset"]): header["reason"].decode() for header in headers}


def assert_archived(settings: Settings, packets: Packets) -> None:
    """Each alert is in the store of its survey and in the index: once, and as it came."""
    surveys = load_surveys()
    with _opened(settings) as stores, closing(open_index(settings)) as index:
        for survey in {name for name, _ in packets}:
            expected = sorted(alert_id for name, alert_id in packets if name == survey)
            assert sorted(_indexed(index, survey)) == expected
            store = stores[survey]
            assert isinstance(store, ListedStore)
            assert sorted(alert_id for alert_id, _ in store.listed(surveys[survey])) == expected
            if survey in settings.packed_surveys:
                assert _packed(settings.data_dir / "packed") == Counter(expected)
        for (survey, alert_id), packet in packets.items():
            assert stores[survey].get(surveys[survey], alert_id) == packet


@contextmanager
def _opened(settings: Settings) -> Iterator[Mapping[str, Store]]:
    """Open the first store of each survey, which is the one that is written to."""
    opened = open_stores(settings, load_surveys())
    try:
        yield {survey: ordered[0] for survey, ordered in opened.items()}
    finally:
        for store in {id(store): store for ordered in opened.values() for store in ordered}.values():
            store.close()


def _indexed(index: AlertIndex, survey: str) -> Iterator[str]:
    after = None
    while True:
        page = index.search(survey, limit=1000, after=after)
        yield from (alert.alert_id for alert in page.alerts)
        after = page.after
        if after is None:
            return


def _packed(folder: Path) -> Counter[str]:
    """Count the alerts of ZTF in all packs, full or not, as any reader of AVRO does."""
    found: Counter[str] = Counter()
    for file in folder.rglob("*.avro"):
        with file.open("rb") as pack:
            found.update(str(alert["candid"]) for alert in fastavro.reader(pack))
    return found
