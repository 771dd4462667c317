"""Messages as ALeRCE's sorting hat writes them, made of packets."""

from pathlib import Path
from typing import Any

import fastavro

from stamp_service.packets import write_ocf

_NULLABLE_BYTES = ["null", "bytes"]
SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "alerce.alert",
    "fields": [
        *({"name": name, "type": "string"} for name in ("aid", "oid", "sid", "tid")),
        {"name": "pid", "type": "long"},
        {"name": "candid", "type": "string"},
        {"name": "mjd", "type": "double"},
        {"name": "fid", "type": "string"},
        *({"name": name, "type": "double"} for name in ("ra", "dec")),
        *({"name": name, "type": "float"} for name in ("mag", "e_mag")),
        {"name": "isdiffpos", "type": "int"},
        *({"name": name, "type": "float"} for name in ("e_ra", "e_dec")),
        {
            "name": "extra_fields",
            "type": {"type": "map", "values": ["null", "int", "float", "string", "bytes"]},
        },
        {
            "name": "stamps",
            "type": {
                "type": "record",
                "name": "stamps",
                "fields": [
                    {"name": kind, "type": _NULLABLE_BYTES} for kind in ("science", "template", "difference")
                ],
            },
        },
    ],
}
_NAMES = {
    "ZTF": {"jd", "ra", "dec", "magpsf", "sigmapsf", "isdiffpos", "fid", "pid", "candid"},
    "ATLAS": {"mjd", "RA", "Dec", "Mag", "Dmag", "isdiffpos", "filter", "pid", "candid"},
}


def read_packet(file: Path) -> dict[str, Any]:
    """Decode a packet."""
    with file.open("rb") as stream:
        return next(fastavro.reader(stream))


def pipeline_message(alert: dict[str, Any], survey: str = "ZTF", **other: Any) -> bytes:
    """Write the message of a decoded packet; what is said of its fields replaces what the packet says."""
    candidate = alert["candidate"]
    is_ztf = survey == "ZTF"
    stamps = {
        kind: (alert.get(f"cutout{kind.capitalize()}") or {}).get("stampData")
        for kind in ("science", "template", "difference")
    }
    extra = {name: value for name, value in candidate.items() if name not in _NAMES[survey]}
    message = {
        "aid": f"AL{alert['objectId']}",
        "oid": alert["objectId"],
        "sid": survey,
        "tid": survey,
        "pid": candidate["pid"],
        "candid": str(alert["candid"]),
        "mjd": candidate["jd"] - 2400000.5 if is_ztf else candidate["mjd"],
        "fid": {1: "g", 2: "r", 3: "i"}[candidate["fid"]] if is_ztf else candidate["filter"],
        "ra": candidate["ra" if is_ztf else "RA"],
        "dec": candidate["dec" if is_ztf else "Dec"],
        "mag": candidate["magpsf" if is_ztf else "Mag"],
        "e_mag": candidate["sigmapsf" if is_ztf else "Dmag"],
        "isdiffpos": 1 if candidate["isdiffpos"] in ("t", "1") else -1,
        "e_ra": 0.065,
        "e_dec": 0.065,
        # A long is beyond what the map takes; the pipeline drops or writes them as text.
        "extra_fields": {
            name: str(value) if isinstance(value, int) and abs(value) >= 2**31 else value
            for name, value in extra.items()
        },
        "stamps": stamps,
    }
    return write_ocf(SCHEMA, message | other)
