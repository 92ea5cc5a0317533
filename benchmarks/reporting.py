"""What a benchmark says beside its number: where it was measured, and how to repeat it."""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table


def options(description: str | None, windows: int) -> argparse.ArgumentParser:
    """The options that the benchmarks of models share, and how many windows a batch has."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--json", metavar="FILE", help="write JSON there, - for standard output")
    add("--rounds", type=int, default=7, help="timed rounds (default 7)")
    about = f"windows in a batch, of both models (default {windows})"
    add("--windows", type=int, default=windows, help=about)
    add("--device", choices=("cpu", "cuda"), default="cpu", help="default cpu")
    add(
        "--precision",
        choices=("auto", "float32", "bfloat16"),
        default="auto",
        help="of the default model's products; auto is bfloat16 where it is faster (default auto)",
    )
    add("--compile", action="store_true", help="compile the default model")
    add("--threads", type=int, help="processor threads (default PyTorch's)")
    add("--quick", action="store_true", help="tiny models, to see that it runs")
    return parser


def prepare(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Set the number of threads; leave with one line for a number below one or a missing GPU."""
    if min(arguments.rounds, arguments.windows, arguments.threads or 1) < 1:
        parser.error("expected rounds, windows and threads of at least 1")
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: PyTorch finds no GPU here; use --device cpu")
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)


def circumstances(device: str = "cpu") -> dict[str, Any]:
    """What one needs to know to measure the same again."""
    return {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "commit": commit(),
        "time": time.strftime("%Y-%m-%d %H:%M"),
        "machine": f"{platform.machine()} {platform.system()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg() if hasattr(os, "getloadavg") else None,
        "gpu": torch.cuda.get_device_name() if device == "cuda" else None,
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "numpy", "xarray")},
        },
    }


def report(
    arguments: argparse.Namespace,
    unit: str,
    what: str,
    shape: Mapping[str, int],
    rates: Mapping[str, float],
    **measured: Any,
) -> dict[str, Any]:
    """The one object of a benchmark of models: what was measured, and all that repeats it."""
    return {
        **measured,
        "what": what,
        "unit": unit,
        "shape": {**shape, "windows": arguments.windows},
        "rounds": arguments.rounds,
        "product_gflop_per_second": dict(rates),
        "bfloat16_pays": rates["bfloat16"] > rates["float32"],
        **circumstances(arguments.device),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


def commit() -> str:
    """The commit of this checkout, marked where files have changed; nothing outside one."""
    words = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    return subprocess.run(words, capture_output=True, text=True).stdout.strip()


def write_json(result: Mapping[str, Any], target: str) -> None:
    """Write one object to a file, or to standard output for ``-``."""
    text = json.dumps(result, indent=2) + "\n"
    if target == "-":
        sys.stdout.write(text)
    else:
        Path(target).write_text(text, encoding="utf-8")


def write(result: Mapping[str, Any], target: str | None) -> None:
    """Write JSON where it is wanted, and show a table where it is not."""
    if target:
        write_json(result, target)
    else:
        Console().print(table(result))


def table(result: Mapping[str, Any]) -> Table:
    """One column a model, with what was measured of it."""
    models = result["models"]
    shown = Table("", *models, title=result["what"], caption=_caption(result))
    shown.add_row("parameters", *(f"{model['parameters']:,}" for model in models.values()))
    shown.add_row("precision", *(model["precision"] for model in models.values()))
    rows = {
        "per second": lambda model: _range(**model["per_second"]),
        "processor seconds": lambda model: _range(**model["cpu_seconds"]),
        "GFLOP": lambda model: f"{model['gflop']:.3g}",
        "FLOP utilization": lambda model: f"{model['flop_utilization']:.0%}",
        "ratio": lambda model: _range(model["ratio"], model["ratio_interquartile"]),
        "ratio by processor time": lambda model: f"{model['cpu_ratio']:.2f}",
        "training MiB": lambda model: f"{model['training_mib']:.0f}",
    }
    for title, cell in rows.items():
        cells = [_or_nothing(cell, model) for model in models.values()]
        if any(cells):
            shown.add_row(title, *cells)
    return shown


def _range(median: float, interquartile: list[float]) -> str:
    low, high = interquartile
    return f"{median:.3g} ({low:.3g} to {high:.3g})"


def _or_nothing(cell: Any, model: Mapping[str, Any]) -> str:
    try:
        return cell(model)
    except (KeyError, TypeError):  # not measured of this model, or on this system
        return ""


def _caption(result: Mapping[str, Any]) -> str:
    where = result["gpu"] or f"{result['processor']} with {result['threads']} threads, no GPU"
    shape = "{points} x {points} points, {fields} fields, {frames} frames, batch {windows}"
    return (
        f"{where}; {shape.format(**result['shape'])}; for one {result['unit']}, medians and "
        f"interquartile ranges of {result['rounds']} rounds; utilization is of the rate of one "
        "large matrix product at the same precision"
    )
