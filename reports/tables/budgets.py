"""Training budgets of the variants: what each was trained on, with how many samples, for how long."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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


def same_training(
    variants: Sequence[str], benchmarks: Iterable[str], part: Part, tables: TableSet, budgets: Budgets
) -> str:
    """Return a sentence on whether the methods of a table had the same training, from the manifests of their stages.

    Every variant is compared with the first one that was trained, on each benchmark. Empty if only one method was
    trained, or if its stages are not on this machine."""
    reference = ""
    methods: set[str] = set()
    found: dict[str, str] = {}
    for benchmark in benchmarks:
        cells = [part.select(benchmark, variant)[0] for variant in variants if part.select(benchmark, variant)]
        trained = [(cell, budget) for cell in cells if (budget := budgets.of(cell)).trainings]
        methods |= {cell.method for cell, _ in trained}
        for cell, budget in trained[1:]:
            if difference := trained[0][1].difference(budget):
                found.setdefault(tables.label(cell.variant), difference)
        reference = reference or (tables.label(trained[0][0].variant) if trained else "")
    if len(methods) < 2:
        return ""
    if not found:
        return (
            "The methods that were trained here had the same backbone, initial weights, data, input size and number of "
            "samples (for the largest network of each)."
        )
    return f"Not trained like {reference}: {'; '.join(f'{name} ({text})' for name, text in found.items())}."
