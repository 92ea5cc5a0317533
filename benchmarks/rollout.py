"""Frames per second of a rollout: the default model against the published AViT.

The published model computes its whole history anew for every frame, in float32 and with all frames
decoded, as its authors wrote it; each of its frames costs the same, so only two are timed. The
default model encodes its history once and then one frame a step; both count.

example: python benchmarks/rollout.py --steps 16 64 --json rollout.json
"""

import argparse
from collections.abc import Callable, Iterable
from typing import Any

import torch
from contenders import FULL, TINY, autocast, parameters, published_rollout
from measuring import alternate, choose_precision, compare, count_gflop, product_rate, speed
from reporting import options, prepare, report, write

PUBLISHED_FRAMES = 2
"""Frames of the published model that are timed in a round."""


def exhaust(frames: Iterable[object]) -> None:
    """Ask for all frames and keep none."""
    for _ in frames:
        pass


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Everything, as one object; ``ratio`` is that of the longest rollout."""
    shape, device = TINY if arguments.quick else FULL, arguments.device
    rates = {name: product_rate(name, device) for name in ("float32", "bfloat16")}
    precision = choose_precision(arguments.precision, rates)
    torch.manual_seed(0)
    published = shape.build_published().to(device).eval()
    default = shape.build_default().to(device).eval()
    history = shape.batch(arguments.windows, shape.frames).to(device)

    def by_default(steps: int) -> Callable[[], None]:
        def run() -> None:
            with autocast(device, precision):
                exhaust(default.forecast(history, steps))

        return run

    lengths = {f"default, {steps} steps": steps for steps in sorted(set(arguments.steps))}
    frames = {"published": PUBLISHED_FRAMES, **lengths}
    tasks: dict[str, Callable[[], None]] = {
        "published": lambda: exhaust(published_rollout(published, history, PUBLISHED_FRAMES)),
        **{name: by_default(steps) for name, steps in lengths.items()},
    }
    work = {name: count_gflop(task) / frames[name] for name, task in tasks.items()}
    if arguments.compile:
        default.advance = torch.compile(default.advance, fullgraph=True)  # type: ignore[method-assign]
    found = alternate(tasks, arguments.rounds, device)
    timings = {name: [timing.per(frames[name]) for timing in some] for name, some in found.items()}
    models = {
        "published": {
            "parameters": parameters(published),
            "arguments": shape.published,
            "precision": "float32",
            "compiled": False,
            **speed(timings["published"], work["published"], rates["float32"], device),
        }
    }
    for name, steps in lengths.items():
        models[name] = {
            "parameters": parameters(default),
            "arguments": shape.default,
            "precision": precision,
            "compiled": arguments.compile,
            "steps": steps,
            **speed(timings[name], work[name], rates[precision], device),
            **compare(timings["published"], timings[name]),
        }
    return report(
        arguments,
        "frame",
        "rollout frames per second, default over published",
        shape.described(),
        rates,
        **compare(timings["published"], timings[list(lengths)[-1]]),
        models=models,
    )


def main() -> None:
    """Measure as the arguments say."""
    parser = options(__doc__, windows=4)
    parser.add_argument(
        "--steps", type=int, nargs="+", default=[16, 64], help="lengths (default 16 64)"
    )
    arguments = parser.parse_args()
    prepare(parser, arguments)
    if min(arguments.steps) < 1:
        parser.error("expected steps of at least 1")
    write(measure(arguments), arguments.json)


if __name__ == "__main__":
    main()
