"""Which errors are the user's (bad input) and which are defects of ours."""

import dis
from pathlib import Path

PACKAGE = str(Path(__file__).parent)


def is_raised_on_purpose(error: BaseException) -> bool:
    """Whether an error was raised by a `raise` statement of this package.

    Such an error tells the user about their input. The same kinds come out of our own lines by accident as well: a
    `zip(strict=True)` of unequal lengths, `int("x")`, a file that we forgot to make. Those are defects, whatever file
    their last line stands in, and so is everything that other packages raise.
    """
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or not trace.tb_frame.f_code.co_filename.startswith(PACKAGE):
        return False
    return dis.opname[trace.tb_frame.f_code.co_code[trace.tb_lasti]] == "RAISE_VARARGS"
