"""What the comparison comes to: the two numbers of its goals, and its tables."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from peer_arms import DEFAULT, FINER, PERSISTENCE, PUBLISHED, STAGES, Stage, arms

from mpp.metrics.summary import Cell

GOALS = {"share_best": 0.8, "ratio": 0.5}
"""At least the first, at most the second."""
Kind = tuple[str, str]
"""Stage and arm: a row of a table."""


class Key(NamedTuple):
    """What a number in a table is of; the mean over all fields where ``field`` is ``None``."""

    stage: str
    arm: str
    system: str
    score: str
    step: int
    field: str | None = None

    @property
    def kind(self) -> Kind:
        """Stage and arm."""
        return self.stage, self.arm


class Spread(NamedTuple):
    """Mean over seeds and standard deviation; NaN for a single seed."""

    mean: float
    std: float


Scores = dict[Key, Spread]


def over_seeds(
    trainings: Sequence[Mapping[str, Any]], runs: str = "mean", by_field: bool = False
) -> Scores:
    """Scores over seeds; a forecast that diverged is infinitely wrong.

    Args:
        trainings: Finished ones, persistence among them.
        runs: ``mean`` or ``median`` over the test runs.
        by_field: Keep the fields apart.
    """
    found: dict[Key, dict[int, list[float]]] = {}
    for one in trainings:
        for row in one["scores"]:
            field = row["field"] if by_field else None
            for step, value in enumerate(row[runs], 1):
                key = Key(one["stage"], one["arm"], row["system"], row["score"], step, field)
                fields = found.setdefault(key, {}).setdefault(one["seed"], [])
                fields.append(math.inf if value is None else value)
    return {
        key: _spread([statistics.fmean(fields) for fields in seeds.values()])
        for key, seeds in found.items()
    }


def _spread(values: Sequence[float]) -> Spread:
    finite = len(values) > 1 and all(math.isfinite(value) for value in values)
    return Spread(statistics.fmean(values), statistics.stdev(values) if finite else math.nan)


def best_cells(scores: Scores, score: str, steps: Sequence[int]) -> dict[str, str]:
    """Which arm is best among the specialists and persistence, by system and step."""
    best: dict[str, tuple[float, str]] = {}
    for key, spread in scores.items():
        if key.stage in ("alone", PERSISTENCE) and key.score == score and key.step in steps:
            cell, candidate = f"{key.system} at {key.step}", (spread.mean, key.arm)
            best[cell] = min(best.get(cell, candidate), candidate)
    return {cell: arm for cell, (_, arm) in best.items()}


def ratios(scores: Scores, stage: Stage) -> dict[str, float]:
    """One-step NRMSE of the default model over that of the published one, by system."""
    own, other = {}, {}
    for key, spread in scores.items():
        if (key.stage, key.score, key.step) == (stage, "nrmse", 1):
            if key.arm == DEFAULT:
                own[key.system] = spread.mean
            elif key.arm in (PUBLISHED, FINER):
                other[key.system] = spread.mean
    return {system: own[system] / other[system] for system in own if system in other}


def summary(trainings: Sequence[Mapping[str, Any]], steps: Sequence[int]) -> dict[str, Any]:
    """The figures that the goals are about, and what they are made of.

    Returns:
        ``ratio``: one-step NRMSE of the default model of the whole suite over that of the published
        AViT, geometric mean over systems; ``share_best``: share of the cells of system and step in
        which the default model has the smallest VRMSE among specialists. Nothing is invented where
        an arm was left out: the number is then ``None``.
    """
    scores = over_seeds(trainings)
    by_system = ratios(scores, "suite")
    best = {score: best_cells(scores, score, steps) for score in ("vrmse", "nrmse")}
    robust = best_cells(over_seeds(trainings, "median"), "vrmse", steps)
    has_default = any(one["arm"] == DEFAULT for one in trainings)
    return {
        "ratio": statistics.geometric_mean(by_system.values()) if by_system else None,
        "ratio_by_system": by_system,
        "ratio_finetuned": ratios(scores, "finetuned"),
        "share_best": share(best["vrmse"]) if has_default else None,
        "share_best_nrmse": share(best["nrmse"]) if has_default else None,
        "share_best_by_median": share(robust) if has_default else None,
        "best": best["vrmse"],
        "goals": GOALS,
    }


def share(best: Mapping[str, str]) -> float:
    """Share of the cells that are the default model's."""
    return sum(arm == DEFAULT for arm in best.values()) / len(best)


def label(stage: str, arm: str) -> str:
    """What tables call a row."""
    if arm == PERSISTENCE:
        return PERSISTENCE
    after = {"alone": "", "suite": ", all systems", "finetuned": ", finetuned"}[stage]
    return arms()[arm].label + after


def markdown(result: Mapping[str, Any]) -> str:
    """All tables, as experiments/README.md can hold them."""
    trainings = result["trainings"]
    scores, fields = over_seeds(trainings), over_seeds(trainings, by_field=True)
    kinds = list(dict.fromkeys(key.kind for key in scores))
    alone = [kind for kind in kinds if kind[0] in ("alone", PERSISTENCE)]
    multi = [kind for kind in kinds if kind[0] in ("suite", "finetuned", PERSISTENCE)]
    text = [headline(result)]
    for title, group in (("One model a system", alone), ("One model for all systems", multi)):
        for score in ("vrmse", "nrmse"):
            text += [f"{title}, {score.upper()}, mean over the fields:", ""]
            text += [*grid(result, scores, score, group), ""]
    text += ["What was trained:", "", *recipe_table(result), ""]
    for score in ("vrmse", "nrmse"):
        text += [f"{score.upper()} by field:", "", *grid(result, fields, score, kinds), ""]
    return "\n".join(text)


def headline(result: Mapping[str, Any]) -> str:
    """Where the numbers come from, and the two of the goals."""
    study, where = result["study"], result["gpu"] or f"{result['processor']}, one thread each"
    words = [
        f"{study['budget']:g} s of training on one system ({where}), {result['seeds']} seeds, mean "
        f"± standard deviation over them, {study['history']} frames given, commit "
        f"{result['commit']}."
    ]
    if result["share_best"] is not None:
        words.append(
            f"The default model is best in {result['share_best']:.0%} of the cells of system and "
            f"step among specialists (goal {GOALS['share_best']:.0%}; "
            f"{result['share_best_nrmse']:.0%} by NRMSE)."
        )
    if result["ratio"] is not None:
        words.append(
            f"As one model for all systems it has {result['ratio']:.2f} of the published AViT's "
            f"one-step NRMSE (goal at most {GOALS['ratio']:g})."
        )
    return " ".join(words) + "\n"


def grid(result: Mapping[str, Any], scores: Scores, score: str, kinds: Sequence[Kind]) -> list[str]:
    """A row a system, field (where they are kept apart) and step, a column a model.

    The best of a row is bold.
    """
    lines = _header(["system", "step", *(label(*kind) for kind in kinds)])
    for system in result["systems"]:
        for field in dict.fromkeys(key.field for key in scores if key.system == system):
            name = f"{system}, {field}" if field else system
            for step in result["study"]["lead_times"]:
                keys = [Key(*kind, system, score, step, field) for kind in kinds]
                lines.append(_line([name, str(step), *_cells(scores, keys)]))
    return lines


def recipe_table(result: Mapping[str, Any]) -> list[str]:
    """Size, recipe, steps and seconds of every training that is scored."""
    lines = _header(
        ["model", "system", "parameters", "recipe", "validation by recipe", "steps", "seconds"]
    )
    for choice in result["choices"]:
        same = ("stage", "arm", "system", "recipe")
        cells = [
            one
            for one in result["trainings"]
            if one["stage"] in STAGES and all(one[key] == choice[key] for key in same)
        ]
        tried = ", ".join(
            f"{name}: {'diverged' if value is None else f'{value:.3g}'}"
            for name, value in choice["validation"].items()
        )
        lines.append(
            _line(
                [
                    label(choice["stage"], choice["arm"]), choice["system"],
                    f"{cells[0]['parameters'] / 1e6:.2f} M", choice["recipe"], tried,
                    str(cells[0]["steps"]), ", ".join(f"{one['seconds']:.0f}" for one in cells),
                ]
            )
        )  # fmt: skip
    return lines


def _cells(scores: Scores, keys: Sequence[Key]) -> list[str]:
    least = min(scores[key].mean for key in keys)
    texts = []
    for key in keys:
        mean, std = scores[key]
        best = mean == least and math.isfinite(mean)
        cell = Cell(mean, std, best)
        texts.append(f"**{cell}**" if best else str(cell))
    return texts


def _header(names: Sequence[str]) -> list[str]:
    return [_line(names), "|" + "---|" * len(names)]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
