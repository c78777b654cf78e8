"""What a report reads: cells, scores, published numbers, claims, table specifications."""

from reports.inputs.budgets import Budgets
from reports.inputs.captions import (
    FROM_MASKS,
    NO_BENCHMARK,
    coverage,
    describe,
    format_number,
    label_of,
    limits,
    name_of,
)
from reports.inputs.claims import SECONDS, Claim, Claims, claims_file, load_claims
from reports.inputs.lineage import IDENTITIES, Lineage
from reports.inputs.options import differing_options, flat
from reports.inputs.parts import Part, ReportError, natural, order_cells, split
from reports.inputs.published import Published, Quoted, load_published
from reports.inputs.scores import Scorebook, has_file, pairs_of, read_columns, read_frames, read_scorebook, unpaired
from reports.inputs.selection import cells_with_masks, evenly, lead_benchmark, lead_part, main_variant, shown_variants
from reports.inputs.spec import (
    RowSpec,
    TableSet,
    TableSpec,
    combined_measure,
    headline_measures,
    load_tables,
    main_measure,
    measures_of,
    object_values,
)
from reports.inputs.videos import Videos

__all__ = [
    "FROM_MASKS", "IDENTITIES", "NO_BENCHMARK", "SECONDS", "Budgets", "Claim", "Claims", "Lineage", "Part", "Published",
    "Quoted", "ReportError", "RowSpec", "Scorebook", "TableSet", "TableSpec", "Videos", "cells_with_masks",
    "claims_file", "combined_measure", "coverage", "describe", "differing_options", "evenly", "flat", "format_number",
    "has_file", "headline_measures", "label_of", "lead_benchmark", "lead_part", "limits", "load_claims",
    "load_published", "load_tables", "main_measure", "main_variant", "measures_of", "name_of", "natural",
    "object_values", "order_cells", "pairs_of", "read_columns", "read_frames", "read_scorebook", "shown_variants",
    "split", "unpaired",
]  # fmt: skip
