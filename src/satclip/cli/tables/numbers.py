"""Numbers that arrive as text."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from satclip.cli.tables.places import Degrees

_NUMBER = r"^-?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
# What a number would spoil: leading zeros (postal codes), and more digits than a float64 holds (identifiers).
_CODE = r"^-?(0[0-9]|[0-9]{16,}$)"
_MISSING = ("NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "None")


def coordinates(column: pa.Array) -> Degrees:
    """Numbers as float64, from text or any number type; NaN where there is none."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        text = pc.utf8_ltrim(pc.utf8_trim_whitespace(column), "+")
        column = pc.if_else(pc.match_substring_regex(text, _NUMBER), text, pa.scalar(None, text.type))
    return np.asarray(pc.fill_null(column.cast(pa.float64()), np.nan).to_numpy(zero_copy_only=False))


def wider_type(known: pa.DataType, column: pa.Array) -> pa.DataType:
    """The narrowest of null, int64, float64 and string that holds what was `known` and this text column."""
    if pa.types.is_string(known):
        return known
    text = _present(column).drop_null()
    if not len(text):
        return known
    if pc.any(pc.match_substring_regex(text, _CODE)).as_py():
        return pa.string()
    for kind in (pa.float64(),) if pa.types.is_float64(known) else (pa.int64(), pa.float64()):
        try:
            text.cast(kind)
        except pa.ArrowInvalid:
            continue
        return kind
    return pa.string()


def as_type(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """A text column as `kind`; text itself stays untouched."""
    return column if pa.types.is_string(kind) else _present(column).cast(kind)


def _present(column: pa.Array) -> pa.Array:
    text = pc.utf8_trim_whitespace(column)
    return pc.if_else(pc.is_in(text, pa.array(_MISSING)), pa.scalar(None, text.type), text)
