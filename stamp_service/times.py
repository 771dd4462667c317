"""Where the time scales of astronomy begin."""

from datetime import UTC, datetime

# Modified Julian date 0, as a date and as a Julian date.
MJD_EPOCH = datetime(1858, 11, 17, tzinfo=UTC)
MJD_EPOCH_JD = 2400000.5
