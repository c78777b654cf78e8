"""What the GPU check does, in which order and within which time: read by the runner, which imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the check: measured, written and, if it hangs, killed by itself."""

    name: str
    part: str
    """Key of PARTS."""

    function: str
    """`module:function`, which is called with a Context."""

    seconds: float
    """Expected on an H100; estimated until a run is recorded."""

    limit: float
    """Seconds after which it is killed."""

    about: str
    """Description of what the line covers, for the tables."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """Lines that share a process, restarted after a line that kills it or leaves the device unusable."""

    title: str
    share: float
    """Share of the whole time after which the part is over, whatever is left of it."""


PARTS: Mapping[str, Part] = {
    "a": Part(title="Every branch of the GPU path", share=0.5),
    "b": Part(title="Speed and memory at the paper's size", share=0.72),
    "c": Part(title="Accuracy after a short training on the packed data", share=1.0),
}
"""In the order in which they run; what is dropped first when time is short is the length of the last."""


def _line(part: str, place: str, name: str, seconds: float, about: str, limit: float) -> Line:
    return Line(name=name, part=part, function=f"tests.gpu.{place}", seconds=seconds, limit=limit, about=about)


def _branch(name: str, seconds: float, about: str, *, limit: float = 40) -> Line:
    return _line("a", f"branches:{name.replace(' ', '_').replace('-', '_')}", name, seconds, about, limit)


PLAN = (
    _branch("device", 2, "what the machine is, and torch's defaults for TF32"),
    _branch("transfers", 3, "batches to the device and back: order in memory, types, frames unchanged"),
    _branch("loaders", 3, "batches that threads draw ahead, features on the device among them"),
    _branch("autocast", 8, "bfloat16 around training; weights and gradients stay in 32 bits"),
    _branch("channels last", 6, "order in memory of weights and features; the same output in either"),
    _branch("masks", 25, "masks of the same networks on the CPU and the device, every variant", limit=70),
    _branch("paper networks", 12, "logits of the full-size networks on the CPU and the device"),
    _branch("checkpoints", 10, "training resumed on the device and across devices; networks saved and loaded"),
    _branch("one-shot", 8, "fine-tuning with features kept on the device; a loss that is not finite"),
    _branch("gloo", 30, "two processes on one device: the weights of one process", limit=90),
    _branch("nccl", 5, "one process with NCCL (gloo on a CPU): the weights of none", limit=60),
    _branch("timing", 4, "the clock waits for the device"),
    _branch("seeds", 8, "two trainings of one seed"),
    _branch("memory", 8, "what fine-tuning and segmenting leave on the device"),
    _branch("stages", 20, "train, finetune, segment, time and identities as the engine runs them", limit=70),
    _line("b", "speed:propagation_steps", "propagation steps", 15, "training step of the propagation network", 60),
    _line("b", "speed:segmentation_steps", "segmentation steps", 25, "training step of the segmentation network", 80),
    _line("b", "speed:one_object", "one object", 20, "segmenting with one object, without fine-tuning", 60),
    _line(
        "b",
        "speed:one_shot",
        "one-shot seconds",
        30,
        "fine-tuning as the paper counts it; the paper's seconds per frame: 1.09 (DIPNet), 0.70 (DIPNet*)",
        80,
    ),
    _line("b", "speed:three_objects", "three objects", 20, "segmenting with three objects", 60),
    _line("b", "speed:ten_objects", "ten objects", 35, "segmenting with ten objects", 80),
    _line(
        "c",
        "accuracy:paper_scale",
        "accuracy, paper scale",
        145,
        "networks of the paper's size, trained on the packed train split, scored on the packed val split",
        330,
    ),
    _line(
        "c", "accuracy:light_scale", "accuracy, light scale", 95, "the same with the networks of the scale `light`", 330
    ),
)
