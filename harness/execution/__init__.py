"""A plan's missing stages, run by Ray Tune."""

from harness.execution.cluster import Cluster, check_nodes, check_resources, joined_ray, local_ray
from harness.execution.progress import Progress, failure_lines, progress
from harness.execution.queue import ReadyQueue
from harness.execution.timing import TimeSummary, spans_of, summarize_time
from harness.execution.tune import run_stages
from harness.execution.worker import Job, make_job, work

__all__ = [
    "Cluster", "Job", "Progress", "ReadyQueue", "TimeSummary", "check_nodes", "check_resources", "failure_lines",
    "joined_ray", "local_ray", "make_job", "progress", "run_stages", "spans_of", "summarize_time", "work",
]  # fmt: skip
