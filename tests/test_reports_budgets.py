"""Training budgets: read from the stages behind a cell, compared where a claim compares methods."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.results import CellResult
from reports.formats import as_csv
from reports.inputs import Budgets, Lineage, load_claims, load_published, load_tables, order_cells, read_scorebook
from reports.tables import compose
from tests.report_cells import cell, submitted, with_scores
from tests.test_reports_lineage import publish


def trained(
    store: Path, variant: str, networks: dict[str, list[tuple[str, int, int]]], backbone: str = "mini"
) -> CellResult:
    """Return a cell whose networks had these trainings: data, steps, batch."""
    needs = {}
    for network, trainings in networks.items():
        before: dict[str, str] = {}
        for data, steps, batch in trainings:
            key = f"{variant}-{network}-{data}"
            folder = publish(
                store,
                "train",
                key,
                f"train {network}, off-line training on {data}",
                needs=before,
                data={"videos": f"digest of {data}"},
                config={
                    "training": {"batch": batch, "iterations": steps},
                    "weights": "network" if before else "none",
                    "network": {"backbone": backbone, "size": 128},
                },
            )
            lines = [f"{step},loss,1.0" for step in range(10, steps + 1, 10)] + [f"{steps + 50},validation loss,1.0"]
            (folder / "curves.csv").write_text("\n".join(["step,name,value", *lines]) + "\n")
            before = {"before": key}
        needs[network] = before["before"]
    publish(store, "segment", f"{variant}-segment", "segment", needs=needs)
    score = publish(store, "score", f"{variant}-score", "score", needs={"a": f"{variant}-segment"})
    made = with_scores(
        store / "scores",
        cell(variant, 0.5, method="dipnet" if variant == "full" else variant, method_label=variant),
        [0.1 * i for i in range(8)],
    )
    for file in Path(made.score_folder).iterdir():
        file.rename(score / file.name)
    return replace(made, score_folder=str(score))


ALIKE = {"network": [("voc", 100, 8), ("davis16-train", 100, 8)]}


def difference(store: Path, one: CellResult, other: CellResult) -> str:
    budgets = Budgets(Lineage())
    return budgets.of(one).difference(budgets.of(other))


def test_samples_are_the_steps_that_were_taken(tmp_path: Path) -> None:
    budget = Budgets(Lineage()).of(trained(tmp_path, "one", ALIKE))
    assert budget.samples == {"network": 1600}
    assert [(one.data, one.steps, one.weights) for one in budget.trainings] == [
        ("davis16-train", 100, ""),
        ("voc", 100, "none"),
    ]


@pytest.mark.parametrize(
    ("networks", "backbone", "found"),
    [
        (ALIKE, "mini", ""),
        ({"phase one": ALIKE["network"], "phase two": [("voc", 100, 8)]}, "mini", ""),
        ({"network": [("voc", 100, 8), ("davis16-train", 103, 8)]}, "mini", ""),  # 2 % more
        ({"network": [("voc", 100, 8), ("davis16-train", 200, 8)]}, "mini", "training samples (2,400 and 1,600)"),
        ({"network": [("davis16-train", 200, 8)]}, "mini", "training data"),
        (ALIKE, "resnet50", "training backbones"),
        ({}, "mini", "no training on one side"),
    ],
)
def test_unequal_budgets_are_named(tmp_path: Path, networks: dict, backbone: str, found: str) -> None:
    other = trained(tmp_path, "other", ALIKE)
    assert difference(tmp_path, trained(tmp_path, "one", networks, backbone), other) == found


def test_a_claim_about_two_methods_names_unequal_training(tmp_path: Path) -> None:
    more = {"network": [("voc", 100, 8), ("davis16-train", 200, 8)]}
    cells = [trained(tmp_path, "full", ALIKE), trained(tmp_path, "osvos", more), trained(tmp_path, "msk", ALIKE)]
    their = with_scores(tmp_path / "their", submitted("RGMP", 0.6), [0.1 * i for i in range(8)])
    tables = load_tables()
    ordered = order_cells([*cells, their], tables.variants)
    content = compose("s", ordered, tables, load_published(), load_claims(), read_scorebook(ordered), Lineage())
    made = {table.name: table for table in content.steady}
    judged = [made[name] for name in ("claims", "claims-undecided") if name in made]
    remarks = {line.variant: line.facts[-1] for table in judged for line in table.lines}
    assert "confounded by training samples (1,600 and 2,400)" in remarks["osvos-davis16"]
    assert "confounded" not in remarks["msk-davis16"]
    assert "confounded by unknown networks and training (submitted masks)" in remarks["rgmp-davis16"]
    assert "Not trained like DIPNet: OSVOS (training samples (1,600 and 2,400))." in made["table1"].caption
    rows = as_csv(made["training-davis16-val"]).splitlines()
    assert [row.split(",")[0] for row in rows[1:]] == ["DIPNet", "OSVOS", '"MSK']
    assert "network: 200 on davis16-train + 100 on voc" in rows[2]


def test_a_cell_whose_stages_are_elsewhere_has_no_budget() -> None:
    assert not Budgets(Lineage()).of(cell("full", 0.5)).trainings
    assert json.dumps(dict(Budgets(Lineage()).of(cell("full", 0.5)).samples)) == "{}"


def test_a_table_says_that_its_methods_had_the_same_training(tmp_path: Path) -> None:
    cells = [trained(tmp_path, name, ALIKE) for name in ("full", "osvos", "msk")]
    content = compose(
        "s", tuple(cells), load_tables(), load_published(), load_claims(), read_scorebook(cells), Lineage()
    )
    caption = next(table.caption for table in content.steady if table.name == "table1")
    assert "The methods that were trained here had the same backbone" in caption
