"""Training budgets of the variants: what each was trained on, with how many samples, for how long."""

from __future__ import annotations

from reports.inputs import Budgets, Part, TableSet, describe
from reports.tables.model import NOTHING, Line, Table, Value


def budgets_table(part: Part, benchmark: str, tables: TableSet, budgets: Budgets) -> Table | None:
    """Return the trainings behind every variant on one benchmark; None if no variant was trained."""
    lines = []
    for variant in part.variants_on(benchmark):
        cell = part.select(benchmark, variant)[0]
        budget = budgets.of(cell)
        networks = []
        for network, samples in budget.samples.items():
            stages = [one for one in budget.trainings if one.network == network]
            steps = " + ".join(f"{one.steps:,} on {one.data}" for one in stages)
            networks.append((network, steps, samples, sum(one.seconds for one in stages)))
        if networks:
            backbones = ", ".join(dict.fromkeys(f"{one.backbone}, {one.size}" for one in budget.trainings))
            lines.append(
                Line(
                    label=tables.label(variant),
                    variant=variant,
                    facts=(
                        cell.method_label or NOTHING,
                        backbones,
                        "; ".join(f"{network}: {steps}" for network, steps, *_ in networks),
                        ", ".join(f"{samples:,}" for _, _, samples, _ in networks),
                    ),
                    values=(Value(number=sum(seconds for *_, seconds in networks) / 60, decimals=1),),
                )
            )
    if not lines:
        return None
    return Table(
        name=f"training-{benchmark}{part.suffix}",
        title=f"What the variants were trained on: {part.title(benchmark)}",
        caption="Steps of each network and what they were on, and samples: steps times samples per step. One-shot "
        "fine-tuning is not in it. Minutes are of the machine that trained, and of several trainings side by side. "
        f"Variants that are not listed were not trained. {describe(part, benchmark, masks=False)}",
        facts=("method", "backbone, input size", "steps", "samples per network"),
        columns=("minutes",),
        lines=tuple(lines),
    )
