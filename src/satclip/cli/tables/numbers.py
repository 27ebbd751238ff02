"""Numbers that arrive as text."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from satclip.cli.tables.places import Degrees

_NUMBER = r"^-?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
# What a number would spoil: leading zeros (postal codes), and more digits than a float64 holds (identifiers).
_CODE = r"^-?(0[0-9]|[0-9]{16,}$)"
_MISSING = ("", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "None")
_DECIMAL_COMMA = r"^[-+]?([0-9]+,[0-9]*|,[0-9]+)([eE][+-]?[0-9]+)?$"
_DECIMAL_POINT = r"^[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_THOUSANDS = r"^[-+]?[1-9][0-9]{0,2},[0-9]{3}$"
_MINUS = "\u2212"  # the typographic minus sign, which is no hyphen


def coordinates(column: pa.Array, *, decimal_comma: bool = False) -> Degrees:
    """Numbers as float64, from text or any number type; NaN where there is none.

    With `decimal_comma`, 2,35 is a number as 2.35 is.
    """
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if is_text(column.type):
        text = _trimmed(column)
        if decimal_comma:
            commas = pc.match_substring_regex(text, _DECIMAL_COMMA)
            text = pc.if_else(commas, pc.replace_substring(text, ",", "."), text)
        text = pc.utf8_ltrim(text, "+")
        column = pc.if_else(pc.match_substring_regex(text, _NUMBER), text, pa.scalar(None, text.type))
    # Unsafe: an int64 beyond 2^53 is rounded, as it would be from text, and found to be no degree.
    numbers = column.cast(pa.float64(), safe=is_text(column.type))
    return np.asarray(pc.fill_null(numbers, np.nan).to_numpy(zero_copy_only=False))


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


class Marks:
    """What stands between whole and decimals in the coordinates of a file: looked for in all of it, then judged."""

    def __init__(self) -> None:
        self._comma: str | None = None
        self._point: str | None = None
        self._thousands = True

    def look(self, column: pa.Array) -> None:
        """Take note of a piece of text."""
        text = _trimmed(column)
        commas = text.filter(pc.match_substring_regex(text, _DECIMAL_COMMA))
        points = text.filter(pc.match_substring_regex(text, _DECIMAL_POINT))
        if len(commas):
            self._comma = self._comma or commas[0].as_py()
            self._thousands &= bool(pc.all(pc.match_substring_regex(commas, _THOUSANDS)).as_py())
        if len(points):
            self._point = self._point or points[0].as_py()

    def decimal_comma(self, *, degrees: bool) -> bool:
        """Whether commas stand before decimals; `degrees` where the numbers are known to be nothing larger.

        Raises:
            ValueError: some numbers have commas and some have points, or the commas may just as well mark thousands.
        """
        if self._comma is None:
            return False
        if self._point is not None:
            raise ValueError(
                f"coordinates with decimal commas ({self._comma}) and with decimal points ({self._point}): "
                "write all of them with points"
            )
        if self._thousands and not degrees:
            raise ValueError(
                f"the commas of the coordinates ({self._comma}) may mark decimals or thousands: "
                "write decimals with points, and thousands without a mark"
            )
        return True


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


def _trimmed(column: pa.Array) -> pa.Array:
    if pa.types.is_string_view(column.type):
        column = column.cast(pa.large_string())
    return pc.replace_substring(pc.utf8_trim_whitespace(column), _MINUS, "-", max_replacements=1)


def _present(column: pa.Array) -> pa.Array:
    text = pc.utf8_trim_whitespace(column)
    return pc.if_else(pc.is_in(text, pa.array(_MISSING)), pa.scalar(None, text.type), text)
