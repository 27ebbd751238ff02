"""The degrees of the harmonics as a config group without files."""

from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import ConfigCompositionException

from satclip.runs import hydra_setup

CONF = Path(__file__).parents[2] / "conf"


def degree_of(*overrides: str) -> int:
    """The degree that a command line comes to."""
    degree: int = hydra_setup.compose(CONF, overrides).le_type.legendre_polys
    return degree


@pytest.mark.parametrize("written", ["7", "'7'", '"7"'])
def test_a_degree_may_be_quoted_and_need_not(written: str) -> None:
    assert degree_of(f"legendre_polys={written}") == 7


def test_a_sweep_over_degrees_is_one_of_numbers_whatever_the_sweeper() -> None:
    hydra_setup.register()
    parse = OverridesParser.create().parse_override
    assert list(parse("legendre_polys=10,20").sweep_iterator()) == [10, 20]  # as Optuna and Ax read it
    assert list(parse("legendre_polys=range(10,40,10)").sweep_string_iterator()) == ["10", "20", "30"]
    assert parse("legendre_polys=10").value() == "10"  # as a launcher reads one job


@pytest.mark.parametrize("value", ["0", "101", "2.5", "abc", "-3", "null", "true", "[1,2]", "''"])
def test_a_degree_that_is_none_is_refused_in_one_line(value: str) -> None:
    with pytest.raises(ConfigCompositionException) as stop:
        hydra_setup.compose(CONF, [f"legendre_polys={value}"])
    message = str(stop.value)
    assert message.startswith("error: legendre_polys takes ")
    assert "1" in message
    assert "100" in message
    assert "\n" not in message
