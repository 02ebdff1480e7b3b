"""Did-you-mean suggestions."""

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that ``name`` is most likely a misspelling of, regardless of case, or None."""
    by_folded_name = {candidate.casefold(): candidate for candidate in known}
    close = difflib.get_close_matches(name.casefold(), by_folded_name, n=1, cutoff=0.6)
    return by_folded_name[close[0]] if close else None
