"""Rows of any dialect as comma-separated text: RFC 4180, every value's own bytes."""

import numpy as np

from satclip.cli.tables.records import Dialect, Records, outside

_COMMA, _QUOTE = ord(","), ord('"')


def to_commas(records: Records, dialect: Dialect) -> Records:
    """The same rows separated by commas; what is so already stays as it is, byte for byte.

    Other values stay as they are too, except that one which holds a comma, or a quote that is text, is put in quotes.
    """
    if dialect == Dialect(",", quoted=True):
        return records
    text = np.frombuffer(records.data, np.uint8).copy()
    text[records.separators] = _COMMA
    needs_quotes = (text == _COMMA) | (text == _QUOTE)
    needs_quotes[: records.starts[0]] = False  # rows that were left out
    needs_quotes[records.separators] = needs_quotes[records.quotes] = False
    special = outside(np.flatnonzero(needs_quotes), records.quotes)
    # Stable, for the sort that joins runs which are in order already.
    firsts = np.sort(np.concatenate((records.starts, records.separators + 1)), kind="stable")
    lasts = np.sort(np.concatenate((records.ends, records.separators)), kind="stable")
    values = np.unique(np.searchsorted(firsts, special, side="right") - 1)
    added = np.concatenate((firsts[values], lasts[values], special[text[special] == _QUOTE]))
    added.sort()
    starts = records.starts + np.searchsorted(added, records.starts, side="left")
    ends = records.ends + np.searchsorted(added, records.ends, side="right")
    separators = records.separators + np.searchsorted(added, records.separators, side="right")
    return Records(np.insert(text, added, _QUOTE).tobytes(), starts, ends, separators, records.quotes)


def lines(records: Records) -> list[bytes]:
    """Each row without its line end."""
    data = records.data
    return [data[start:end] for start, end in zip(records.starts.tolist(), records.ends.tolist(), strict=True)]
