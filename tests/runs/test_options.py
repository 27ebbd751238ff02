"""The degrees of the harmonics as a config group."""

import pytest

from satclip.runs.options import quote_degrees


def test_a_bare_degree_becomes_an_option_name() -> None:
    assert quote_degrees(["legendre_polys=40", "vision=vit16"]) == ["legendre_polys='40'", "vision=vit16"]


def test_a_sweep_over_degrees_stays_a_sweep() -> None:
    assert quote_degrees(["legendre_polys=10,20"]) == ["legendre_polys='10','20'"]
    assert quote_degrees(["legendre_polys=range(10,40,10)"]) == ["legendre_polys='10','20','30'"]


def test_quoting_twice_changes_nothing() -> None:
    once = quote_degrees(["legendre_polys=7,100"])
    assert quote_degrees(once) == once


@pytest.mark.parametrize("value", ["0", "101", "2.5", "abc", "-3", "10,abc"])
def test_a_degree_that_is_none_is_refused_in_one_line(value: str) -> None:
    with pytest.raises(SystemExit) as stop:
        quote_degrees([f"legendre_polys={value}"])
    message = str(stop.value)
    assert "whole number from 1 to 100" in message
    assert value.split(",")[-1] in message
    assert "\n" not in message
