"""What a study has come to: cells, provenance, submissions, export."""

from harness.results.cell import WHOLE_PROCESS, CellResult, normalized
from harness.results.collect import collect_results
from harness.results.export import export, require_usable
from harness.results.plan_record import referenced_stages, save_plan, study_question
from harness.results.provenance import explain, find_cell, recorded_name
from harness.results.saved import load_results, save_results
from harness.results.study_file import check_study_files, did_you_mean, known_studies, require_studies
from harness.results.submission import Submission, check_submission, masks_digest, save_scores

__all__ = [
    "WHOLE_PROCESS", "CellResult", "Submission", "check_study_files", "check_submission", "collect_results",
    "did_you_mean", "explain", "export", "find_cell", "known_studies", "load_results", "masks_digest", "normalized",
    "recorded_name", "referenced_stages", "require_studies", "require_usable", "save_plan", "save_results",
    "save_scores", "study_question",
]  # fmt: skip
