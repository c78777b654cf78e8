"""Nothing is run twice: what variants have in common is one stage."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.datasets import load_protocols
from harness.planning.estimate import Sharing, sharing
from harness.planning.inputs import gather
from harness.planning.plan import make_plan
from harness.planning.study import load_study
from harness.stage import Stage
from harness.store.local import Store
from tests.engine import ROOT

SECONDS = {
    "dipnet.stage_runs:run_train_propagation": 60.0,
    "dipnet.stage_runs:run_train_segmentation": 60.0,
    "dipnet.stage_runs:run_finetune": 4.0,
    "dipnet.stage_runs:run_segment": 1.5,
    "dipnet.stage_runs:run_time": 4.0,
    "dipnet.stage_runs:run_identities": 0.5,
    "harness.baselines.first_mask:segment": 0.05,
    "harness.baselines.first_mask:measure": 0.05,
    "harness.score.stage:score": 0.3,
}
"""About what stages take at mini scale on two idle cores, in round figures; training is counted low."""


@pytest.fixture(scope="module")
def ablation(tmp_path_factory: pytest.TempPathFactory, miniature: Path) -> dict[str, Any]:
    """The ablation study on the embedded data, in a home that has seen each kind of stage once."""
    place = tmp_path_factory.mktemp("ablation")
    protocols = load_protocols()
    study = load_study(ROOT / "studies" / "ablation.yaml", protocols)
    asked = dict.fromkeys(name for variant in study.variants for name in variant.benchmarks)
    inputs = gather([protocols[name] for name in asked], miniature, place / "facts.sqlite")
    store = Store(place / "home")
    seen: dict[str, Stage] = {}
    for item in make_plan(study, inputs, store).items.values():
        seen.setdefault(item.stage.run, item.stage)
    assert set(seen) <= set(SECONDS)
    for number, (run, stage) in enumerate(seen.items()):
        key = f"{number:064d}"
        (store.start(key).folder / "x").write_text("")
        store.publish(stage.name, key, "earlier", replace(stage.identity, config={}), {"seconds": SECONDS[run]})
    plan = make_plan(study, inputs, store)
    return {"plan": plan, "sharing": sharing(plan)}


def test_the_ablation_takes_at_most_a_quarter_of_unshared_cells(ablation: dict[str, Any]) -> None:
    found: Sharing = ablation["sharing"]
    assert all(item.seconds is not None for item in ablation["plan"].items.values())
    assert found.seconds <= found.cell_by_cell_seconds / 4


def test_the_omega_sweep_shares_every_trained_and_tuned_network(ablation: dict[str, Any]) -> None:
    networks = [
        {need.key for stage in cell.segment.values() for need in stage.needs.values()}
        for cell in ablation["plan"].cells
        if cell.variant.name.startswith("omega") and cell.benchmark == "davis16-val"
    ]
    assert len(networks) == 6
    assert all(each == networks[0] for each in networks)
