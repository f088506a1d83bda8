"""Counting days between ISO times, without a clock and without a calendar module."""


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
