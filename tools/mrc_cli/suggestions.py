"""Did-you-mean suggestions."""

import re
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that ``name`` is almost certainly a misspelling of, or None.

    Names that differ only in case, camelCase, hyphens or underscores are the same. Apart from that, a name
    may contain one typo (two from 10 characters on): a missing, additional, wrong or two swapped characters.
    In a name of up to 4 characters a wrong character usually makes another word, so it does not count as a
    typo. There is no suggestion if two known names are equally near.
    """
    typed = _normalized(name)
    limit = 2 if len(typed) >= 10 else 1
    ranked = sorted((_distance(typed, _normalized(candidate)), candidate) for candidate in set(known))
    close = [(distance, candidate) for distance, candidate in ranked if distance <= limit]
    if not close or (len(close) > 1 and close[0][0] == close[1][0]):
        return None
    distance, candidate = close[0]
    is_other_word = (
        distance == 1
        and len(typed) == len(_normalized(candidate)) <= 4
        and not _is_swap(typed, _normalized(candidate))
    )
    return None if is_other_word else candidate


def _normalized(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).casefold().replace("-", "_").strip("_")


def _is_swap(one: str, other: str) -> bool:
    return sorted(one) == sorted(other)


def _distance(one: str, other: str) -> int:
    """The number of typos between two names (optimal string alignment distance)."""
    if abs(len(one) - len(other)) > 2:
        return 3  # more than any limit
    before: list[int] = []
    previous = list(range(len(other) + 1))
    for row, char in enumerate(one, start=1):
        current = [row]
        for column, other_char in enumerate(other, start=1):
            cost = min(previous[column] + 1, current[-1] + 1, previous[column - 1] + (char != other_char))
            is_swap = row > 1 and column > 1 and char == other[column - 2] and one[row - 2] == other_char
            current.append(min(cost, before[column - 2] + 1) if is_swap else cost)
        before, previous = previous, current
    return previous[-1]
