"""Click on what the server printed: a PNG, a FITS file and a packet must be what they are called."""

import re
import sys
from pathlib import Path
from urllib.request import urlopen

SIGNATURES = {
    "a PNG": (b"\x89PNG\r\n\x1a\n",),
    "a FITS": (b"SIMPLE  =                    T", b"\x1f\x8b"),
    "a packet": (b"Obj\x01", b"\x00\x00\x00", b"\x1f\x8b"),
}


def main() -> None:
    """Fetch the three addresses of the start-up text."""
    printed = Path(sys.argv[1]).read_text(encoding="utf-8")
    for what, signatures in SIGNATURES.items():
        (address,) = re.findall(rf"{what} +(http://\S+)", printed)
        with urlopen(address, timeout=20) as answer:
            body = answer.read()
        if not body.startswith(signatures) or len(body) < 500:
            sys.exit(f"{address} is not {what}: {body[:40]!r}")
        print(f"{what}: {len(body)} bytes")


if __name__ == "__main__":
    main()
