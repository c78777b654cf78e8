"""Part a of the GPU check: every branch of the GPU path is taken once, and its result compared.

The networks are small, so that each line takes seconds, but for the lines that say otherwise."""

from __future__ import annotations

import copy
import functools
import gc
from contextlib import suppress
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

import vos.optimization
from dipnet.config import PropagationTraining
from dipnet.segmenter import Networks, make_segmenter
from dipnet.train_segmentation import fine_tune_on, new_segmentation
from harness.hardware import cores, describe_hardware, gpu_names
from tests.gpu.context import PRECISIONS, Context, precision
from tests.gpu.networks import (
    KINDS,
    STEPS,
    VIDEOS,
    KilledError,
    checkpoint_at_once,
    compare,
    difference,
    network_of,
    objective_of,
    placed,
    segmented,
    stepped,
    trained,
)
from tests.gpu.sizes import TINY_CONFIG
from tests.videos import Squares, first_frame
from vos import parallel
from vos.checkpoint import for_inference, load_network, save_network
from vos.config import TimingConfig, TrainingConfig
from vos.optimization import Batch, TrainingError, TrainingRun, drawn_batches, optimize
from vos.parallel import World, process_group
from vos.samples import frames_tensor, images_of, known_tensor, masks_tensor
from vos.segment import segment_video
from vos.timing import _synchronize, measure_seconds

PLAIN = PropagationTraining(batch=2, learning_rate=0.01, batch_norm="frozen")
BEYOND = {
    "confident_omega": True,
    "anchor": 0.3,
    "previous": 0.2,
    "test_flip": True,
    "search_margin": 0.5,
    "reach": 1.0,
    "frame_share": 0.3,
}
VARIANTS: dict[str, dict[str, Any]] = {
    "DIPNet": {},
    "DIPNet*": {"crop": False},
    "propagation only": {"crop": False, "phases": "propagation"},
    "segmentation only": {"crop": False, "phases": "segmentation"},
    "separately": {"instances": "separately"},
    "beyond the paper": BEYOND,
}


def device(context: Context) -> None:
    """Describe the machine and torch's defaults."""
    context.note(
        hardware=describe_hardware(gpu=context.gpu),
        torch=torch.__version__,
        cores=cores(),
        tf32_convolutions=torch.backends.cudnn.allow_tf32,
        tf32_products=torch.backends.cuda.matmul.allow_tf32,
    )
    if context.gpu:
        free, whole = torch.cuda.mem_get_info(context.device)
        context.note(
            cuda=torch.version.cuda,
            cudnn=torch.backends.cudnn.version(),
            gpus=torch.cuda.device_count(),
            memory_gb=whole / 1e9,
            free_gb=free / 1e9,
        )
        name = torch.cuda.get_device_name(context.device)
        context.require(bool(gpu_names()) and gpu_names()[0] == name, f"nvidia-smi names {gpu_names()}, torch {name}")


def transfers(context: Context) -> None:
    """Move a batch to the device and back."""
    run = TrainingRun(seed=0, device=context.device)
    frames = [VIDEOS[0].frame(index) for index in range(4)]
    masks = [VIDEOS[0].mask(index) for index in range(4)]
    batch = {
        "frames": frames_tensor(frames),
        "truth": masks_tensor(masks),
        "known": known_tensor(masks),
        "weights": torch.arange(4, dtype=torch.float32),
        "ids": torch.arange(8).reshape(4, 2),
    }
    for name, tensor in batch.items():
        placed = run.place(tensor)
        context.require(placed.device.type == torch.device(context.device).type, f"{name} is on {placed.device}")
        context.require(placed.dtype == tensor.dtype, f"{name} became {placed.dtype}")
        context.require(torch.equal(placed.cpu(), tensor), f"{name} changed on its way")
    placed = run.place(batch["frames"])
    context.require(placed.is_contiguous(memory_format=torch.channels_last), "frames are not in channels-last order")
    context.require(np.array_equal(images_of(placed), np.stack(frames)), "frames do not come back as they went")
    context.require(images_of(placed.bfloat16()).dtype == np.uint8, "bfloat16 frames do not come back as images")
    large = torch.zeros(4, 3, 512, 512).contiguous(memory_format=torch.channels_last)
    context.note(milliseconds_per_batch=1000 * context.seconds(lambda: run.place(large), 10))
    if context.gpu:
        pinned = large.pin_memory()
        copied = context.seconds(lambda: pinned.to(context.device, non_blocking=True), 10)
        context.note(pinned_milliseconds=1000 * copied)


def loaders(context: Context) -> None:
    """Draw batches by threads, on the CPU and on the device."""
    here = torch.arange(32.0, device=context.device).reshape(8, 4)

    def on_device(rng: np.random.Generator) -> Batch:
        return {"known": torch.cat([here[int(i)][None] for i in rng.integers(8, size=4)])}

    network = new_segmentation(TINY_CONFIG.segmentation, "none", 0)
    for name, draw in (("the CPU", objective_of("segmentation", network, PLAIN).draw), ("the device", on_device)):
        one, ahead = (list(drawn_batches(draw, 7, range(3, 12), threads)) for threads in (0, 3))
        context.require([step for step, _ in ahead] == list(range(3, 12)), f"{name}: steps out of order")
        equal = all(torch.equal(x[key], y[key]) for (_, x), (_, y) in zip(one, ahead, strict=True) for key in x)
        context.require(equal, f"{name}: threads draw other batches")


def autocast(context: Context) -> None:
    """Take a step of each network in bfloat16, and compare its loss with that in 32 bits."""
    for kind in KINDS:
        losses = []
        for amp in (False, True):
            network = network_of(kind, TINY_CONFIG)
            types: list[torch.dtype] = []
            first = next(module for module in network.modules() if isinstance(module, nn.Conv2d))
            first.register_forward_hook(lambda _module, _inputs, output, types=types: types.append(output.dtype))
            run = TrainingRun(seed=0, device=context.device, amp=amp)
            optimize(network, objective_of(kind, network, PLAIN), PLAIN, 1, run)
            losses.append(run.curve[-1][1])
            wanted = torch.bfloat16 if amp else torch.float32
            context.require(set(types) == {wanted}, f"{kind}, amp {amp}: convolutions yield {set(types)}")
            kept = {value.dtype for value in network.state_dict().values()} - {torch.int64}
            context.require(kept == {torch.float32}, f"{kind}, amp {amp}: weights are {kept}")
        change = abs(losses[1] - losses[0]) / losses[0]
        context.note(**{f"{kind}_loss_change": change})
        context.require(0 < change < 0.05, f"{kind}: the loss is {losses[0]} in 32 bits, {losses[1]} in bfloat16")


def channels_last(context: Context) -> None:
    """Compare the full-size segmentation network in both orders of memory."""
    config = context.size.config.segmentation
    plain = new_segmentation(config, "none", 0).to(context.device).eval()
    fast = for_inference(new_segmentation(config, "none", 0), context.device)
    weights = [value for value in fast.parameters() if value.dim() == 4]
    ordered = all(value.is_contiguous(memory_format=torch.channels_last) for value in weights)
    context.require(ordered, "weights are not in channels-last order")
    frame = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 3, config.size, config.size)).astype(np.float32))
    hint = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0)).to(context.device)
    with torch.inference_mode(), precision("fp32"):
        image = frame.to(context.device)
        features = fast.encode_frame(image.contiguous(memory_format=torch.channels_last))
        lasting = all(level.is_contiguous(memory_format=torch.channels_last) for level in features)
        context.require(lasting, "features leave channels-last order")
        compare(context, "logits", plain.refine(image, hint), fast.refine(image, hint), 1e-3)


def masks(context: Context) -> None:
    """Train small networks on the device, and segment with every variant here and, with folded batch norm, there."""
    networks = trained(context)
    at_home, there = placed(networks, "cpu"), placed(networks, context.device, folded=True)
    worst = dict.fromkeys(context.precisions, 0.0)
    limits = dict(zip(PRECISIONS, (0.01, 0.03, 0.05), strict=True))  # briefly trained networks: near ties
    for objects in (1, 3):
        video = Squares(objects=objects, length=5)
        for name, change in VARIANTS.items():
            options = TINY_CONFIG.model_copy(update=change).inference(multi_object=objects > 1)
            expected = segmented(at_home, options, "cpu", video)
            for kind in context.precisions:
                with precision(kind):
                    chosen = options.model_copy(update={"amp": kind == "bf16"})
                    differing = float((segmented(there, chosen, context.device, video) != expected).mean())
                worst[kind] = max(worst[kind], differing)
                text = f"{name}, {objects} objects, {kind}: {differing:.2%} of the pixels differ"
                context.require(differing <= limits[kind], text)
    context.note(**{f"pixels_differing_{kind}": value for kind, value in worst.items()})


def paper_networks(context: Context) -> None:
    """Compare the logits of the full-size networks on the CPU and the device."""
    config = context.size.config
    here, there = context.networks(config, "cpu"), context.networks(config)
    rng = np.random.default_rng(0)
    side, large = config.propagation.size, config.segmentation.size
    small_frame, frame = (
        torch.from_numpy(rng.normal(size=(1, 3, s, s)).astype(np.float32)).contiguous(memory_format=torch.channels_last)
        for s in (side, large)
    )
    mask = torch.zeros(1, 1, side, side)
    mask[..., side // 4 : side // 2, side // 4 : side // 2] = 1
    hint = torch.nn.functional.adaptive_avg_pool2d(mask, config.propagation.coarse_size)

    def logits(networks: Networks, device: str) -> tuple[Tensor, Tensor]:
        first, second = networks.propagation, networks.frame_segmentation
        assert first is not None
        assert second is not None
        identity = first.encode_identity(small_frame.to(device), mask.to(device))
        coarse = first.propagate(first.encode_frame(small_frame.to(device)), identity)
        return coarse, second.refine(frame.to(device), hint.to(device))

    with torch.inference_mode():
        expected = logits(here, "cpu")
        for kind, tolerance in zip(PRECISIONS[:2], (1e-2, 1e-1), strict=True):
            with precision(kind):
                found = logits(there, context.device)
            for name, x, y in zip(KINDS, expected, found, strict=True):
                compare(context, f"{name}_{kind}", x, y, tolerance)


def checkpoints(context: Context) -> None:
    """Stop trainings after a checkpoint and resume them, on the device and on the other one; save and load networks."""
    other = "cpu" if context.gpu else context.device
    for optimizer in ("sgd", "adamw"):
        config = PLAIN.model_copy(update={"optimizer": optimizer, "learning_rate": 1e-3, "batch": 1})
        whole = stepped(context.device, config, STEPS)
        ways = (context.device, context.device), (context.device, other), (other, context.device)
        for first, second in dict.fromkeys(ways):
            folder = context.scratch / f"{optimizer}-{first}-{second}".replace(":", "")
            folder.mkdir()
            with checkpoint_at_once(), suppress(KilledError):
                stepped(first, config, STEPS, folder, stop=True)
            context.require((folder / vos.optimization.CHECKPOINT).exists(), "no checkpoint was written")
            resumed = stepped(second, config, STEPS, folder)
            changed = difference(whole, resumed)
            context.note(**{f"{optimizer}_{first}_to_{second}": changed})
            limit = 1e-3 if optimizer == "sgd" else 1e-2  # AdamW makes much of gradients that are almost zero
            context.require(changed < limit, f"{optimizer}, {first} to {second}: weights differ by {changed}")
    network = network_of("segmentation", TINY_CONFIG).to(context.device, memory_format=torch.channels_last)
    file = context.scratch / "network.pt"
    save_network(network, file)
    loaded = for_inference(load_network(network_of("segmentation", TINY_CONFIG, 1), file), context.device)
    context.require(difference(network, loaded) == 0, "a network changes when it is saved and loaded")


def one_shot(context: Context) -> None:
    """Fine-tune with features that stay on the device, in bfloat16; keep a batch whose loss is infinite."""
    network = network_of("segmentation", TINY_CONFIG)
    config = TINY_CONFIG.one_shot.model_copy(update={"feature_views": 4, "batch": 2})
    inputs = *first_frame(VIDEOS[0]), config, 0.25, TINY_CONFIG.propagation.coarse_size
    run = TrainingRun(seed=0, device=context.device, amp=context.gpu, loaders=2, failures=context.scratch)
    (tuned,) = fine_tune_on("frame", network, *inputs, run, 3)
    context.require(difference(network, tuned) > 0, "fine-tuning changed nothing")
    broken = copy.deepcopy(network)
    with torch.no_grad():
        broken.heads[-1][-1].bias.fill_(float("inf"))
    try:
        fine_tune_on("frame", broken, *inputs, run, 3)
    except TrainingError as error:
        context.require("kept in" in str(error), f"the batch is not kept: {error}")
    else:
        context.require(False, "a loss that is not finite raises nothing")


def gloo(context: Context) -> None:
    """Train with two processes on one device, and compare with one process."""
    config = PLAIN.model_copy(update={"batch_norm": "frozen"})
    single = stepped(context.device, config, 4)
    place = torch.device(context.device).type
    follow = functools.partial(follow_training, config)
    with process_group(2, follow, place, context.scratch / "meeting") as world:
        found = dist.get_backend()
        double = stepped(parallel.own_device(place, world), config, 4, world=world)
    changed = difference(single, double)
    context.note(backend=found, weights_differ_by=changed)
    context.require(changed < 1e-3, f"two processes end with other weights than one: {changed}")


def follow_training(config: TrainingConfig, world: World, device: str) -> None:
    """Do the share of the second process of `gloo`."""
    torch.set_num_threads(1)
    stepped(device, config, 4, world=world)


def nccl(context: Context) -> None:
    """Take a step in a group of one process, which is NCCL's on a GPU."""
    place = torch.device(context.device).type
    parallel._join(World(0, 1), place, context.scratch / "alone")
    try:
        wanted = "nccl" if context.gpu else "gloo"
        context.require(dist.get_backend() == wanted, f"the backend is {dist.get_backend()}")
        total = torch.ones(3, device=context.device)
        dist.all_reduce(total)
        context.require(bool((total == 1).all()), "the sum over one process is another value")
        network = network_of("propagation", TINY_CONFIG).to(context.device).eval()
        objective = objective_of("propagation", network, PLAIN)
        run = TrainingRun(seed=0, device=context.device)
        batch = {name: run.place(value) for name, value in objective.draw(np.random.default_rng(0)).items()}
        gradients = []
        step = vos.optimization._Step(network, objective)
        ids = [torch.device(context.device)] if context.gpu else None
        for module in (step, DistributedDataParallel(step, device_ids=ids)):
            network.zero_grad(set_to_none=True)
            module(batch, batch["known"]).backward()
            gradients.append([value.grad.clone() for value in network.parameters() if value.grad is not None])
        changed = max(float((x - y).abs().max()) for x, y in zip(*gradients, strict=True))
        context.note(backend=dist.get_backend(), gradients_differ_by=changed)
        context.require(changed < 1e-4, f"gradients differ by {changed}")
    finally:
        dist.destroy_process_group()


def timing(context: Context) -> None:
    """Ask whether the clock waits for the device, by both of its names, and time a video."""
    if context.gpu:
        large = torch.randn(8192, 8192, device=context.device)
        for name in ("cuda", "cuda:0"):
            for _ in range(20):
                large = (large @ large).clamp(-1, 1)
            busy = not torch.cuda.current_stream().query()
            _synchronize(name)
            context.require(torch.cuda.current_stream().query(), f"{name}: the device still works")
            context.note(**{f"busy_before_{name}": busy})
    networks = context.networks(TINY_CONFIG)
    segmenter = make_segmenter(networks, TINY_CONFIG.inference(multi_object=False), context.device)
    found = measure_seconds(Squares(length=8), segmenter, TimingConfig(mean_frames=8, frames=4), context.device)
    context.note(milliseconds_per_small_frame=1000 * found["inference_seconds_per_frame"])


def seeds(context: Context) -> None:
    """Train twice from one seed: equal up to the order of sums, which a GPU does not fix."""
    for kind in KINDS:
        runs = [stepped(context.device, PLAIN, 5, kind=kind) for _ in range(2)]
        changed = difference(*runs)
        context.note(**{f"{kind}_differ_by": changed})
        context.require(changed <= (1e-3 if context.gpu else 0), f"{kind}: two trainings differ by {changed}")


def memory(context: Context) -> None:
    """Ask what is left on the device after fine-tuning and while frames are segmented."""
    network = network_of("segmentation", context.size.config)
    frame, objects = first_frame(VIDEOS[2])
    config = context.size.config.one_shot.model_copy(update={"batch": 1, "sizes": (), "optimizer": "sgd"})
    before = context.allocated()
    run = TrainingRun(seed=0, device=context.device)
    with context.peak() as peak:
        tuned = fine_tune_on("objects", network, frame, objects, config, 0.25, 32, run, 1)
    context.require(all(value.grad is None for net in tuned for value in net.parameters()), "gradients are kept")
    uncollected = context.allocated() - before
    gc.collect()
    kept = context.allocated() - before
    weights = sum(value.numel() * value.element_size() for net in tuned for value in net.state_dict().values())
    context.note(
        kept_before_collection_gb=uncollected / 1e9, kept_gb=kept / 1e9, weights_gb=weights / 1e9, peak_gb=peak()
    )
    context.require(kept <= 1.1 * weights + 64e6, f"{kept / 1e6:.0f} MB are kept for weights of {weights / 1e6:.0f} MB")
    segmenter = make_segmenter(context.networks(TINY_CONFIG), TINY_CONFIG.inference(multi_object=True), context.device)
    sizes = [context.allocated() for _ in segment_video(Squares(objects=3, length=12), segmenter)]
    context.require(sizes[-1] <= sizes[4] + 1e6, f"memory grows from frame to frame: {sizes}")


def stages(context: Context) -> None:
    """Run DIPNet's stages of a video with two objects as the engine does, and load its networks."""
    from tests.gpu.stages import run_stages

    run_stages(context)
