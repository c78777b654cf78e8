"""A study becomes a plan: its cells, their stages, what is cached, and why the rest must run."""

from harness.planning.acceptance import NEVER, Candidate, accept, candidates
from harness.planning.estimate import Estimate, Sharing, estimate, sharing
from harness.planning.inputs import BenchmarkInputs, Inputs, gather
from harness.planning.invalidation import flatten
from harness.planning.plan import NOT_SCORED, Cell, Item, Plan, make_plan
from harness.planning.schema import plan_json
from harness.planning.study import Scale, Study, Variant, check_scale, load_scale, load_study, parse_options, study_name
from harness.planning.text import group_line, plan_text

__all__ = [
    "NEVER", "NOT_SCORED", "BenchmarkInputs", "Candidate", "Cell", "Estimate", "Inputs", "Item", "Plan", "Scale",
    "Sharing", "Study", "Variant", "accept", "candidates", "check_scale", "estimate", "flatten", "gather",
    "group_line", "load_scale", "load_study", "make_plan", "parse_options", "plan_json", "plan_text", "sharing",
    "study_name",
]  # fmt: skip
