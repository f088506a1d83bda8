"""Counting days and seconds between ISO times, without a clock and without a calendar module."""

import re

_TIME = re.compile(r"(\d{4}-\d\d-\d\d)T([01]\d|2[0-3]):([0-5]\d):([0-5]\d)Z", re.ASCII)


def day_number(at: str) -> int:
    """Days since 1970-01-01 of an ISO date or time in UTC; 0 for a text that is neither.

    Source: ``days_from_civil`` of H. Hinnant, "chrono-Compatible Low-Level Date Algorithms".
    """
    parts = at[:10].split("-")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() for part in parts):
        return 0
    year, month, day = (int(part) for part in parts)
    year -= month <= 2
    era, year_of_era = divmod(year, 400)
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * 146_097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719_468


def second_number(at: str) -> int | None:
    """Seconds since 1970 of an ISO time in UTC, such as 2026-11-22T10:15:00Z; None for any other text."""
    found = _TIME.fullmatch(at)
    if found is None:
        return None
    day, hour, minute, second = found.groups()
    return day_number(day) * 86_400 + int(hour) * 3_600 + int(minute) * 60 + int(second)


def at_second(number: int) -> str:
    """The ISO time in UTC of so many seconds since 1970; the inverse of `second_number`.

    Source: ``civil_from_days`` of H. Hinnant, "chrono-Compatible Low-Level Date Algorithms".
    """
    days, second = divmod(number, 86_400)
    era, day_of_era = divmod(days + 719_468, 146_097)
    year_of_era = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * shifted + 2) // 5 + 1
    month = shifted + 3 if shifted < 10 else shifted - 9
    year = year_of_era + era * 400 + (month <= 2)
    hour, minute = divmod(second // 60, 60)
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second % 60:02}Z"
