"""What GitHub and those who cite read of this project."""

import tomllib
from pathlib import Path

import pytest
import yaml

import satclip

HOME = Path(__file__).parents[1]
FORMS = sorted(HOME.glob(".github/ISSUE_TEMPLATE/*.yml"))
KINDS = {"markdown", "textarea", "input", "dropdown", "checkboxes"}  # of GitHub's issue forms


def test_the_citation_is_of_this_version_and_names_the_paper() -> None:
    cited = yaml.safe_load((HOME / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((HOME / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert str(cited["version"]) == satclip.__version__ == project["version"]
    assert cited["license"] == project["license"]["text"]
    assert cited["cff-version"] == "1.2.0"
    assert cited["message"]
    assert cited["authors"] == [{"name": "satclip developers"}]
    (paper,) = cited["references"]
    assert paper["url"] == project["urls"]["Paper"]
    assert paper["authors"][0]["family-names"] == "Klemmer"
    assert paper["year"] == 2023


@pytest.mark.parametrize("path", [form for form in FORMS if form.stem != "config"], ids=lambda path: path.stem)
def test_a_form_is_one_that_github_shows(path: Path) -> None:
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert {"name", "description", "body"} <= form.keys()
    assert {field["type"] for field in form["body"]} <= KINDS
    names = [field["id"] for field in form["body"]]
    assert len(names) == len(set(names))
    assert all(field["attributes"]["label"] for field in form["body"])


def test_there_is_a_form_for_what_is_wrong_and_one_for_what_is_missing() -> None:
    assert [form.stem for form in FORMS] == ["bug", "config", "feature"]
