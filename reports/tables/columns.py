"""What the columns of tables mean, for the hover text and the glossary of the HTML page."""

from __future__ import annotations

from inspect import getdoc

from harness.score import MEASURES, Measure

SOURCES = {
    "J": "Region similarity J (intersection over union of mask and truth)",
    "F": "Contour accuracy F (precision and recall of the boundary)",
}


def about_measure(measure: Measure) -> str:
    """Return the meaning of a measure: what it is computed from, and whether higher is better."""
    better = f"{'Higher' if measure.higher_is_better else 'Lower'} is better."
    if measure.mean_of:
        return f"Mean of {' and '.join(MEASURES[name].title for name in measure.mean_of)}. {better}"
    what = SOURCES.get(measure.source or "", measure.title)
    how = (getdoc(measure.statistic) or "").partition("\n")[0].removeprefix("Return ").rstrip(".")
    return f"{what}: {how}. {better}" if how else f"{what}. {better}"


COLUMNS = {
    **{title: about_measure(one) for one in MEASURES.values() for title in (one.title, one.heading)},
    **{
        f"{one.title} over sequences": f"{one.title} as the plain mean over the videos, as some scorers average."
        for one in MEASURES.values()
    },
    "variant": "Name of the variant in the study, or its label.",
    "label": "Label of the variant in the other tables.",
    "method": "Method that the variant runs.",
    "origin": "Measured here, scored here from submitted masks, or quoted from a publication.",
    "claim": "Statement of the paper.",
    "verdict": "Reproduced or contradicted if p (Holm) is below .05, else inconclusive.",
    "source": "Section, table or figure of the paper.",
    "benchmark": "Benchmark that the row is about.",
    "measure": "Measure in which the numbers are differences.",
    "remark": "Why there is no verdict, and what else the two variants differ in.",
    "reason": "Why there is no number.",
    "paper": "The paper's difference; quoted, not measured here.",
    "ours": "The difference measured here, better minus worse variant of the claim.",
    "from": "Lower end of the 95 % interval.",
    "to": "Upper end of the 95 % interval.",
    "p": "Probability of a difference at least this large if there were none, tested alone.",
    "p (Holm)": "The same, corrected for the number of tests (Holm).",
    "detectable": "Smallest difference that as many sequences and seeds show with a probability of 80 %, tested alone.",
    "sequences needed": "Estimated sequences that would decide, if mean, scatter and seeds stayed as observed.",
    "difference": "Mean of the paired differences.",
    "compared with": "Variant that is subtracted.",
    "differs in": "Options in which the two variants differ.",
    "column": "Column of the table above that the difference is about.",
    "sequences": "Videos that the number is based on.",
    "seeds": "Seeds of the trainings that the number is based on.",
    "seed": "Seed of the training.",
    "scale": "Size of networks and trainings: a file in studies/scales.",
    "data": "Embedded miniature, derived from real videos, or real.",
    "filled": "Cells with all their numbers, of those planned.",
    "skipped or not scored": "Cells that the data does not allow, or whose truth is not public.",
    "status": "Whether the cell has its scores.",
    "skipped training": "Trainings that the cell goes without, as their data is missing.",
    "published in": "Paper and table of the published value.",
    "published": "The published value; quoted, not measured here.",
    "hardware": "Machine on which the seconds were measured.",
    "s/frame": "Seconds per frame, with one-shot fine-tuning spread over the frames.",
    "one-shot": "Whether the method fine-tunes on the first frame, and how heavily.",
    "temporal propagation": "Whether the method uses the masks of earlier frames.",
    "training images": "Images that the method was trained on, as published.",
    "backbone, input size": "Backbone of each network, and the pixels of its input.",
    "steps": "Training steps of each network, and the data that they were on.",
    "samples per network": "Steps times samples per step.",
    "minutes": "Minutes that the trainings took.",
    "sequence": "Video.",
    "object": "Number of the object in the video.",
    "attribute": "Attribute that the dataset gives to the videos.",
}
"""Title of a column → its meaning, the same in every table."""
