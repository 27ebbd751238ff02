"""The field's noun where there is one: who greps for resume, NaN, stale, nodata or prefetch finds the place."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(
    path
    for folder, pattern in (("src", "*.py"), ("scripts", "*.py"), ("conf", "*.yaml"), ("docs", "*.md"), (".", "*.md"))
    for path in ((ROOT / folder).rglob(pattern) if folder != "." else ROOT.glob(pattern))
    if path.name not in ("decisions.md", "CHANGELOG.md")  # these quote what was
)
INSTEAD = {
    r"gone on with|g(o|oes|one) on (where|after|from|with|in its folder)": "resume",
    r"(loss|weights?) (that is|are|is) no numbers?": "NaN or infinite",
    r"no-data": "nodata",
    r"fetched ahead": "prefetch",
    r"passed over": "skip",
    r"outlived": "stale",
    r"written anew|computed anew": "rebuild, recompute",
    r"is borne|of no use|rather not be|who works there|last words|has no say|mends all": "plain words",
}


@pytest.mark.parametrize(("phrase", "word"), INSTEAD.items(), ids=INSTEAD.values())
def test_the_field_s_word_stands_where_there_is_one(phrase: str, word: str) -> None:
    assert len(FILES) > 300
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in FILES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(phrase, line)
    ]
    assert not found, f"{word}: {found}"
