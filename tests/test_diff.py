"""Each kind of difference between two results is found, in the order of likely effect."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import main
from harness.execution.worker import make_job, work
from harness.results import collect_results, save_results
from reports.diff import COMPARER
from reports.diff.findings import TOPICS
from reports.inputs import read_scorebook
from tests.diff_homes import VALUES, pair_of, save, scored, stage, texts, two
from tests.engine import make_davis16
from tests.finished import make
from tests.report_cells import cell, submitted
from tests.test_reports_budgets import ALIKE, trained

STUDY = "{name: try, method: first-mask, benchmarks: [davis16-val], variants: {one: {}}}"

OTHERS = {name: value - 0.1 for name, value in VALUES.items()}
"""Scores like VALUES, each lower by the same amount."""


def test_two_results_that_differ_in_nothing_say_so(tmp_path: Path) -> None:
    pair = two(tmp_path, two={"values": OTHERS})
    assert not pair.differs
    assert not pair.unknown
    assert pair.same == tuple(TOPICS)
    assert pair.difference == pytest.approx(-0.1)


@pytest.mark.parametrize(
    ("one", "other", "topic", "text"),
    [
        ({}, {"data_kind": "real", "scale": "mini"}, "data", "embedded → real data"),
        ({}, {"data": {"s1": "other"}}, "data", "frames (the truth is the same) in 1 of 8 common videos: s1"),
        ({}, {"data": {"s1": "other"}, "protocol": "q"}, "data", "frames or truth in 1 of 8 common videos: s1"),
        ({}, {"values": {"s1": 0.5, "s2": 0.5, "new": 0.1}}, "videos", "8 → 3 videos; only in A: s0 (.500), s3"),
        ({"extent": "2 of 20 sequences"}, {}, "videos", "2 of 20 sequences → the whole benchmark"),
        ({}, {"objects": {"s2": 3}}, "objects", "8 → 10 objects in the videos that both have: s2 1 → 3"),
        ({}, {"frames": {"s2": 3}}, "frames", "32 → 31 scored frames in the videos that both have: s2 4 → 3"),
        ({}, {"protocol": "q" * 64}, "protocol", "rules differ (tolerance or averaging); the truth is the same"),
        ({}, {"protocol": "q", "values": {"s0": 0.5}}, "protocol", "differs by the videos; those in common"),
        ({}, {"protocol": "q", "data": {"s0": "o"}}, "protocol", "rules or truth differ (fingerprint pppppppp → q)"),
        ({}, {"score": {"config": {"averaging": "objects"}}}, "protocol", "averaging: None → objects (score it)"),
        ({}, {"omitted": ("pre-training",)}, "training", "skipped: none → pre-training"),
        ({}, {"method_label": "other"}, "method", "toy → other"),
        ({}, {"segment": {"run": "other:run"}}, "method", "computed by toy:segment → other:run"),
        ({}, {"segment": {"config": {"crop": True}}}, "options", "crop: None → True (segment)"),
        ({}, {"segment": {"version": 2}}, "code", "version of the stage: 1 → 2 (segment)"),
        ({}, {"segment": {"scheme": 3}}, "code", "way in which keys are made: 2 → 3 (segment)"),
        ({}, {"segment": {"code": {"toy.net": "1"}}}, "code", "1 module of segment: toy.net"),
        ({}, {"segment": {"provenance": {"libraries": {"torch": "2.7.0"}}}}, "libraries", "torch 2.6.0 → 2.6.0, 2.7.0"),
        ({}, {"segment": {"provenance": {"hardware": "B"}}}, "hardware", "machine: a machine → B, a machine"),
        ({"hardware": "A"}, {"hardware": "B"}, "hardware", "seconds per frame measured on: A → B"),
    ],
)  # fmt: skip
def test_a_difference_is_found_under_its_topic(
    tmp_path: Path, one: Mapping[str, Any], other: Mapping[str, Any], topic: str, text: str
) -> None:
    pair = two(tmp_path, one=one, two=other)
    assert any(text in found for found in texts(pair, topic))
    assert topic not in pair.same


def test_what_is_counted_comes_before_how_it_was_computed(tmp_path: Path) -> None:
    segment = {"config": {"crop": True}, "provenance": {"hardware": "B"}, "code": {"toy.net": "1"}}
    pair = two(tmp_path, two={"segment": segment, "frames": {"s0": 3}, "method_label": "other", "data": {"s0": "o"}})
    found = list(dict.fromkeys(one.topic for one in pair.differs))
    assert found == ["data", "frames", "method", "options", "code", "hardware"]


def test_the_devices_of_both_sides_are_compared(tmp_path: Path) -> None:
    sides = [{"segment": {"environment": {"device": device}}} for device in ("cpu", "gpu")]
    assert texts(two(tmp_path, one=sides[0], two=sides[1])) == ["device: cpu → gpu"]


def test_options_of_size_come_first_and_each_once(tmp_path: Path) -> None:
    ours = {"a": 1, "net": {"size": 128, "backbone": "mini"}, "seed": 0}
    theirs = {"a": 2, "net": {"size": 256, "backbone": "resnet50"}, "seed": 0}
    pair = two(tmp_path, one={"segment": {"config": ours}}, two={"segment": {"config": theirs}})
    assert texts(pair) == [
        "net.backbone: mini → resnet50 (segment)",
        "net.size: 128 → 256 (segment)",
        "a: 1 → 2 (segment)",
    ]


def test_a_stage_that_one_side_alone_needs_is_named_once(tmp_path: Path) -> None:
    for name in VALUES:
        stage(tmp_path / "store", "finetune", f"tuned {name}", f"one-shot on the crop of {name}")
    cells = [scored(tmp_path, cell(variant, 0.5, method_label="toy")) for variant in ("one", "two")]
    for name in VALUES:  # of `one` alone
        key = f"one-davis16-val-0-mini-{name}"
        stage(tmp_path / "store", "segment", key, f"segment {name}", needs={"objects": f"tuned {name}"},
              data={"video": f"digest of {name}"})  # fmt: skip
    assert texts(pair_of(tmp_path, *cells)) == ["only A has: one-shot on the crop"]


def test_without_a_common_video_any_two_stages_are_compared(tmp_path: Path) -> None:
    pair = two(tmp_path, two={"values": {"x": 0.5}, "segment": {"config": {"size": 9}}})
    assert texts(pair, "options") == ["size: None → 9 (segment)"]
    assert pair.videos is None
    assert pair.in_common is None


def test_trainings_are_compared_network_by_network(tmp_path: Path) -> None:
    more = {"network": [("voc", 100, 8), ("davis16-train", 200, 8)]}
    cells = [trained(tmp_path / "store", "one", ALIKE), trained(tmp_path / "store", "two", more)]
    found = texts(pair_of(tmp_path, *cells), "training")
    assert found[0] == "unequal: training samples (1,600 and 2,400)"
    assert "100 steps on davis16-train + 100 steps on voc (1,600 samples), from none → mini at 128, 200" in found[1]


def test_other_images_under_the_same_name_are_other_training_data(tmp_path: Path) -> None:
    cells = [trained(tmp_path / "store", name, {"network": [("voc", 100, 8)]}) for name in ("one", "two")]
    path = tmp_path / "store/train/two-network-voc/manifest.json"
    path.write_text(path.read_text().replace("digest of voc", "other"))
    found = texts(pair_of(tmp_path, *cells), "training")
    assert found[-1] == "network: other videos or images under the name voc"


def test_stages_computed_twice_differ_in_machine_and_result(tmp_path: Path) -> None:
    for home, machine, libraries in (("a", "A", {"torch": "2.6.0"}), ("b", "B", {"torch": "2.7.0"})):
        made = scored(tmp_path / home, cell("one", 0.5), VALUES if home == "a" else OTHERS)
        facts = {"hardware": machine, "libraries": libraries}
        for manifest in (tmp_path / home / "store").rglob("manifest.json"):
            content = json.loads(manifest.read_text())
            content["provenance"] |= facts
            content["files"] = {"masks/00001.png": {"size": 1, "sha256": machine}, "log.csv": {"size": 1}}
            manifest.write_text(json.dumps(content))
        save(tmp_path / home, made)
    pair = COMPARER.compare("one", f"{tmp_path / 'b'}::", tmp_path / "a").pairs[0]
    assert texts(pair) == [
        "torch 2.6.0 → 2.7.0",
        "machine: A → B",
        "computed twice from the same inputs, with other results: score it (1 stage)",
        "computed twice from the same inputs, with other results: segment (8 stages)",
    ]


def test_seeds_pair_by_number_and_differ_by_name(tmp_path: Path) -> None:
    cells = [
        scored(tmp_path, cell(variant, 0.5, seed=seed), segment={"config": {"seed": seed}})
        for variant, seeds in (("one", (0, 1, 2)), ("two", (1, 2)))
        for seed in seeds
    ]
    pair = pair_of(tmp_path, *cells)
    assert texts(pair) == ["0, 1, 2 → 1, 2"]
    assert pair.videos is not None
    assert pair.videos.interval.seeds == 2
    assert pair.notes == ("without seed 0, which only one side has",)


def test_two_seeds_of_one_variant_can_be_compared(tmp_path: Path) -> None:
    cells = [scored(tmp_path, cell("one", 0.5, seed=seed), VALUES if seed else OTHERS) for seed in (0, 1)]
    pair = pair_of(tmp_path, *cells, names=("one/davis16-val/0", "one/davis16-val/1"))
    assert texts(pair) == ["0 → 1"]
    assert pair.videos is not None
    assert pair.videos.interval.estimate == pytest.approx(0.1)


def test_benchmarks_are_compared_rule_by_rule(tmp_path: Path) -> None:
    cells = [scored(tmp_path, cell("one", 0.5, benchmark=name)) for name in ("davis16-val", "davis17-val")]
    pair = pair_of(tmp_path, *cells, names=("one/davis16-val", "one/davis17-val"))
    found = texts(pair, "protocol")
    assert "dataset: DAVIS 2016 → DAVIS 2017" in found
    assert "mean over: sequences → objects" in found


def test_what_both_counted_shows_the_effect_of_videos_and_frames(tmp_path: Path) -> None:
    fewer = {name: value for name, value in VALUES.items() if name != "s0"}  # s0 has the lowest value
    pair = two(tmp_path, two={"values": fewer, "protocol": "q", "frames": {"s1": 2}})
    assert pair.difference == pytest.approx(0.02)
    assert pair.in_common is not None
    assert pair.in_common.second == pytest.approx(pair.in_common.first)
    assert (pair.in_common.videos, pair.in_common.frames) == (7, 26)


@pytest.mark.parametrize(("on", "mean"), [("davis16-val", 0.5), ("davis17-val", 0.4)])
def test_what_both_counted_is_averaged_as_the_first_side_is(tmp_path: Path, on: str, mean: float) -> None:
    values, objects = {"s0": 0.2, "s1": 0.8}, {"s0": 2}  # the mean over sequences is .5, over objects .4
    cells = [
        scored(tmp_path, cell(name, 0.5, benchmark=on, protocol=name), values, objects=objects)
        for name in ("one", "two")
    ]
    found = pair_of(tmp_path, *cells).in_common
    assert found is not None
    assert found.first == pytest.approx(mean)


def test_videos_are_sorted_by_their_part_in_the_difference(tmp_path: Path) -> None:
    changed = {**VALUES, "s3": VALUES["s3"] - 0.3, "s5": VALUES["s5"] - 0.1, "s7": VALUES["s7"] + 0.08}
    pair = two(tmp_path, two={"values": changed})
    found = pair.videos
    assert found is not None
    assert found.shares is not None
    assert [found.videos[place].name for place in (0, 1, -1)] == ["s3", "s5", "s7"]
    assert sum(found.shares) == pytest.approx(1)
    assert found.shares[0] == pytest.approx(0.3 / 0.32)
    assert (
        found.summary == "The first video explains 94% of the difference. Of 8 videos: 2 lower in B, 1 higher, 5 equal."
    )


def test_the_paired_interval_is_that_of_the_report(tmp_path: Path) -> None:
    changed = {**VALUES, "s3": 0.1, "s5": 0.2}
    cells = [scored(tmp_path, cell("one", 0.5)), scored(tmp_path, cell("two", 0.5), changed)]
    pair = pair_of(tmp_path, *cells)
    assert pair.videos is not None
    assert pair.videos.interval == read_scorebook(cells).difference((cells[1],), (cells[0],), "J_mean")


def test_of_submitted_masks_the_stages_are_not_known(tmp_path: Path) -> None:
    pair = pair_of(
        tmp_path,
        scored(tmp_path, cell("one", 0.5, method_label="toy")),
        scored(tmp_path, submitted("Two", 0.5), OTHERS),
    )
    assert texts(pair) == ["toy → Two"]
    assert {one.topic for one in pair.unknown} == {
        "data",
        "seeds",
        "options",
        "training",
        "code",
        "libraries",
        "hardware",
    }
    assert pair.same == ("videos", "objects", "frames", "protocol")
    assert pair.videos is not None


def test_without_its_stages_a_row_still_tells_its_options(tmp_path: Path) -> None:
    cells = [scored(tmp_path, cell("one", 0.5)), scored(tmp_path, cell("two", 0.5, options={"crop": False}))]
    shutil.rmtree(tmp_path / "store")
    pair = pair_of(tmp_path, *cells)
    assert texts(pair) == ["crop: not given → False"]
    assert pair.difference == 0
    assert pair.videos is None
    assert "the stages behind A are no longer in its store" in {one.text for one in pair.unknown}


def test_stages_that_were_pruned_are_counted_as_not_known(tmp_path: Path) -> None:
    cells = [scored(tmp_path, cell(variant, 0.5)) for variant in ("one", "two")]
    shutil.rmtree(tmp_path / "store/segment/two-davis16-val-0-mini-s0")
    pair = pair_of(tmp_path, *cells)
    assert {one.text for one in pair.unknown} == {"1 of the stages behind the scores are no longer in their store"}


def test_a_side_without_a_score_gives_status_1_and_the_reason(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    save(tmp_path, scored(tmp_path, cell("one", 0.5)), cell("two", reason="no room"))
    assert main(["diff", "one", "two", "--home", str(tmp_path)]) == 1
    assert "B – (failed: no room)" in capsys.readouterr().out


def test_whole_studies_are_compared_pair_by_pair(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    ours = [scored(tmp_path / "a", cell(name, 0.5, method_label="toy")) for name in ("one", "two", "third")]
    theirs = [
        scored(tmp_path / "b", cell(name, 0.5, method_label="toy"), values, segment={"config": {"size": size}})
        for name, values, size in (("one", VALUES, None), ("two", OTHERS, 9))
    ]
    save(tmp_path / "a", *ours)
    save(tmp_path / "b", *theirs)
    compared = COMPARER.compare("s", f"{tmp_path / 'b'}::", tmp_path / "a")
    assert [(pair.first.name, pair.difference) for pair in compared.pairs] == [("one", 0), ("two", pytest.approx(-0.1))]
    assert compared.only == (("third/davis16-val",), ())
    text = "\n".join(compared.lines())
    assert "size: None → 9 (segment) [1 of 2]" in text
    assert "Only in A: third/davis16-val" in text


def test_text_fits_100_columns_and_json_holds_everything(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    values = {f"a-video-with-a-long-name-{number}": number / 40 for number in range(30)}
    config = {f"an.option.with.a.long.name.{number}": "x" * number for number in range(30)}
    made = [
        scored(tmp_path, cell("one", 0.5), values),
        scored(
            tmp_path, cell("two", 0.5), {name: value / 2 for name, value in values.items()}, segment={"config": config}
        ),
    ]
    save(tmp_path, *made)
    outputs = []
    for option in ([], ["--all"], ["--json"]):
        assert main(["diff", "one", "two", "--home", str(tmp_path), *option]) == 0
        outputs.append(capsys.readouterr().out)
    short, whole, document = outputs
    assert max(map(len, whole.splitlines())) <= 100
    assert "and 18 more (--all)" in short
    assert "… 10 more (--all)" in short
    assert "(--all)" not in whole
    (pair,) = json.loads(document)["pairs"]
    assert len(pair["videos"]) == 30
    assert len(pair["differs"]) == 30
    assert pair["difference"] == pytest.approx(pair["paired"]["estimate"])


def test_comparing_other_data_gives_no_difference(tmp_path: Path) -> None:
    save(tmp_path, *(scored(tmp_path, cell("one", 0.5, data_kind=kind, scale=kind)) for kind in ("embedded", "real")))
    text = "\n".join(COMPARER.compare("one@embedded", "one@real", tmp_path).lines())
    assert "J mean  A .640   B .640   not comparable: other data" in text


def test_any_measure_can_be_compared(tmp_path: Path) -> None:
    cells = [scored(tmp_path, cell(name, 0.5)) for name in ("one", "two")]
    cells[1] = replace(cells[1], values={"F_mean": 0.9})
    assert pair_of(tmp_path, *cells, measure="F_mean").difference == pytest.approx(0.26)


def test_results_that_were_really_computed_are_compared(tmp_path: Path, data: Path) -> None:
    short = make_davis16(tmp_path / "short", names=("a",), frames=4)
    for place, root in (("whole", data), ("less", short)):
        (tmp_path / place).mkdir()
        plan, store = make(tmp_path / place / "home", root, STUDY)
        for one in plan.missing:
            assert work(make_job(one, store, 1, "")), store.failure(one.key)
        save_results(store.home, "try", collect_results(plan, store))
    compared = COMPARER.compare("try", f"{tmp_path / 'less/home'}::", tmp_path / "whole/home", benchmark="davis16-val")
    (pair,) = compared.pairs
    assert [one.topic for one in pair.differs] == ["data", "videos", "videos", "frames", "protocol"]
    assert texts(pair, "frames") == ["3 → 2 scored frames in the videos that both have: a 3 → 2"]
    assert pair.in_common is not None
    assert (pair.in_common.videos, pair.in_common.frames) == (1, 2)
    assert pair.in_common.first == pair.in_common.second
