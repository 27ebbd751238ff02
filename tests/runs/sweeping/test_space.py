"""Hydra's sweep syntax as Optuna's distributions."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from satclip.runs import hydra_setup
from satclip.runs.sweeping import space


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("interval(1e-4,1e-2)", FloatDistribution(1e-4, 1e-2)),
        ("interval(1,4)", FloatDistribution(1.0, 4.0)),
        ("tag(log,interval(1e-4,1e-2))", FloatDistribution(1e-4, 1e-2, log=True)),
        ("int(interval(1,8))", IntDistribution(1, 8)),
        ("range(10,41,10)", IntDistribution(10, 40, step=10)),
        ("range(10,45,10)", IntDistribution(10, 40, step=10)),
        ("choice(10,20,40)", CategoricalDistribution([10, 20, 40])),
        ("vit16,resnet18", CategoricalDistribution(["vit16", "resnet18"])),
        ("[1,4],[1,8]", CategoricalDistribution(["[1,4]", "[1,8]"])),
        ("range(0.0,1.0,0.5)", CategoricalDistribution([0.0, 0.5])),
    ],
)
def test_each_expression_means_the_same_in_a_file_and_on_the_command_line(written: str, means: object) -> None:
    hydra_setup.register()
    assert space.split({"optimizer.lr": written}, ["seed=1"]) == (["seed=1"], {"optimizer.lr": means})
    assert space.split({}, ["seed=1", f"optimizer.lr={written}"]) == (["seed=1"], {"optimizer.lr": means})
    if "," in written and "(" in written:
        (typed,) = OverridesParser.create().parse_overrides([f"{space.PARAMS}={{optimizer.lr: {written}}}"])
        assert space.split(typed.value(), ["seed=1"]) == (["seed=1"], {"optimizer.lr": means})  # type: ignore[arg-type]


def test_the_command_line_replaces_a_parameter_and_every_value_comes_back_as_hydra_reads_it() -> None:
    fixed, varied = space.split({"a": "choice(1,2)", "b": "choice(1,2)"}, ["a=7", "~callbacks.probe", "+c='x y'"])
    assert (fixed, list(varied)) == (["a=7", "~callbacks.probe", "+c='x y'"], ["b"])
    assert space.overrides({"a": None, "b": True, "c": 1e-05, "d": "[1,4]"}) == [
        "a=null",
        "b=true",
        "c=1e-05",
        "d=[1,4]",
    ]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("interval(2,1)", "varies from 2.0 to 1.0; give the smaller first"),
        ("tag(log,interval(0,1))", "with log none below 0"),
        ("tag(log,choice(1,2))", "log is for intervals"),
        ("5", "nothing varies"),
    ],
)
def test_what_cannot_vary_is_refused(written: str, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        space.split({"a": written}, [])
