"""How much memory a file may take, told from what it declares before any is taken."""

from __future__ import annotations

__all__ = ["MOST_INFLATED", "PART_BYTES", "is_inflated"]

#: Compressed content may always become this much.
MOST_INFLATED = 2**29
#: More than this it may become where so many bytes of it lie in the file: features compress to a half or a tenth, and
#: zeros a thousand times.
_RATIO = 32

#: Where a part says as much as the whole, so much of an array is looked at.
PART_BYTES = 2**25


def is_inflated(needed: int, stored: int) -> bool:
    """Return whether `stored` bytes of a file promise `needed` bytes of values that nobody keeps in so few."""
    return needed > max(MOST_INFLATED, _RATIO * stored)
