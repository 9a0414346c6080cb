"""``method.profile``: what is filled in for each method, and what stays with whoever sets it by hand."""

from typing import Any

import pytest

from semiseg import Config
from semiseg.config.keys import value_of
from semiseg.config.method import method_sections
from semiseg.config.profiles import equal, filled_in, paper
from semiseg.config.read import fields
from semiseg.methods import method_class, method_names
from semiseg.presets import preset_names

SHARED = ("method.", "data.", "network.", "training.", "evaluation.")
CHOICE = {"method.name", "method.profile"}


def shared(config: Config) -> dict[str, Any]:
    """Everything that is no method's own."""
    own = tuple(f"method.{name}." for name in method_names())
    keys = [key for key in fields() if key.startswith(SHARED) and not key.startswith(own) and key not in CHOICE]
    return {key: value_of(config, key) for key in keys}


@pytest.mark.parametrize("source", ["", "toy_streets", "table2_v2_coco_8", "table3_v3plus_imagenet_8"])
def test_under_equal_all_methods_share_everything_that_is_not_their_own(source: str) -> None:
    def of(name: str) -> Config:
        words = [f"method.name={name}", "method.profile=equal"]
        return Config.load(source, words) if source else Config.parse({}, words)

    wanted = shared(of("supervised"))
    assert {"method.teacher.momentum_start", "method.augment.strong", "data.crop"} <= wanted.keys()
    assert [name for name in method_names() if shared(of(name)) != wanted] == []


@pytest.mark.parametrize("name", method_names())
def test_equal_changes_nothing_of_the_methods_own_but_what_it_says(name: str) -> None:
    one, other = (Config.parse({}, [f"method.name={name}", f"method.profile={p}"]) for p in ("paper", "equal"))
    declared = {f"method.{name}.{key}": value for key, value in method_sections()[name].EQUAL.items()}
    own = [key for key in fields() if key.startswith(f"method.{name}.")]
    assert {key: value_of(other, key) for key in own if value_of(one, key) != value_of(other, key)} == declared


@pytest.mark.parametrize("name", method_names())
def test_under_paper_a_method_has_what_its_paper_sets(name: str) -> None:
    config = Config.parse({}, [f"method.name={name}"])
    assert config.method.profile == "paper"
    usual, found = shared(Config.parse({}, ["method.name=supervised"])), shared(config)
    wanted = paper(name)
    assert {key: found[key] for key in found if found[key] != usual[key]}.keys() <= wanted.keys()
    assert {key: value_of(config, key) for key in wanted} == wanted
    branch = ["method.s4gan.multi_label.enabled=true"] if name == "s4gan" else []  # its teacher is that one's
    read = Config.parse({}, [f"method.name={name}", *branch])
    assert not (wanted.keys() & method_class(name).unread(read)), "a recipe that the method never reads"


def test_the_papers_differ_where_their_sheets_do() -> None:
    teachers = {name: Config.parse({}, [f"method.name={name}"]).method.teacher for name in ("cutmix", "augseg", "ael")}
    assert [t.momentum_start for t in teachers.values()] == [0.99, 0.999, 0.99]
    assert (teachers["augseg"].ramp, teachers["augseg"].buffers, teachers["ael"].batch_statistics) == (
        True,
        "ema",
        True,
    )
    assert Config.parse({}, []).method.teacher.momentum_end == 1 and paper("memory_bank") == {} == paper("supervised")
    assert Config.parse({}, ["method.name=unimatch"]).method.augment.weak == "wide"


def test_what_is_set_by_hand_stays() -> None:
    by_hand = Config.parse({}, ["method.name=cutmix", "method.class_balance.enabled=true", "method.teacher.ramp=true"])
    assert by_hand.method.class_balance.enabled and by_hand.method.teacher.ramp
    assert by_hand.method.teacher.momentum_end == 0.99
    half = Config.parse({}, ["method.name=fixmatch", "method.teacher.half_life=0.1"]).method.teacher
    assert (half.half_life, half.momentum_end, half.ramp, half.buffers) == (0.1, 1.0, False, "ema")
    start = Config.parse({}, ["method.name=cutmix", "method.teacher.momentum_start=0.995"]).method.teacher
    assert (start.momentum_start, start.momentum_end) == (0.995, 1.0), "one end by hand is the whole schedule"


def test_own_colours_of_augseg_are_replaced_under_equal() -> None:
    assert equal() == {"method.augseg.pseudo.colours": "shared"} == filled_in({"profile": "equal"})
    words = ["method.name=augseg", "method.profile=equal", "method.augseg.pseudo.colours=random"]
    assert Config.parse({}, words).method.settings.pseudo.colours == "random"


@pytest.mark.parametrize("name", ["toy_streets", "camvid", "folder"])
def test_presets_of_no_paper_are_equal_for_all(name: str) -> None:
    assert name in preset_names() and Config.load(name).method.profile == "equal"


def test_a_stored_configuration_says_it_all_and_reads_back(tmp_path: Any) -> None:
    for profile in ("paper", "equal", "reference"):
        for name in ("augseg", "fixmatch"):
            config = Config.parse({}, [f"method.name={name}", f"method.profile={profile}"])
            config.save(tmp_path / "config.yaml")
            assert Config.load(tmp_path / "config.yaml") == config
