"""What the comparison comes to: the two numbers of its goals, and its tables."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from peer_arms import DEFAULT, FINER, PERSISTENCE, PUBLISHED, STAGES, Stage, arms

from mpp.metrics.summary import Cell

KEYS = ["stage", "arm", "system", "field", "score", "step"]
GOALS = {"share_best": 0.8, "ratio": 0.5}
"""At least the first, at most the second."""


def rows(trainings: Sequence[Mapping[str, Any]], score: str = "mean") -> pd.DataFrame:
    """One row a training, field, score and step; a forecast that diverged is infinitely wrong.

    Args:
        trainings: Finished ones, persistence among them.
        score: ``mean`` or ``median`` over the test runs.
    """
    table = [
        {
            **{key: one[key] for key in ("stage", "arm", "seed")},
            **{key: row[key] for key in ("system", "field", "score")},
            "step": step,
            "value": math.inf if value is None else value,
        }
        for one in trainings
        for row in one["scores"]
        for step, value in enumerate(row[score], 1)
    ]
    return pd.DataFrame(table)


def over_seeds(table: pd.DataFrame, by_field: bool = False) -> pd.DataFrame:
    """Mean and standard deviation over seeds, of the mean over fields unless ``by_field``."""
    keys = [key for key in KEYS if by_field or key != "field"]
    with np.errstate(invalid="ignore"):  # infinity has no standard deviation
        means = table.groupby([*keys, "seed"])["value"].mean().groupby(keys)
        return means.agg(["mean", "std"])


def best_cells(table: pd.DataFrame, score: str, steps: Sequence[int]) -> dict[str, str]:
    """Which arm is best among the specialists and persistence, by system and step."""
    scores = over_seeds(table)["mean"].reset_index()
    among = scores[scores["stage"].isin(["alone", PERSISTENCE]) & (scores["score"] == score)]
    best = {}
    for (system, step), cell in among[among["step"].isin(list(steps))].groupby(["system", "step"]):
        best[f"{system} at {step}"] = str(cell.loc[cell["mean"].idxmin(), "arm"])
    return best


def ratios(table: pd.DataFrame, stage: Stage) -> dict[str, float]:
    """One-step NRMSE of the default model over that of the published one, by system."""
    scores = over_seeds(table)["mean"].reset_index()
    chosen = scores[
        (scores["stage"] == stage) & (scores["score"] == "nrmse") & (scores["step"] == 1)
    ]
    by_arm = {str(arm): cells.set_index("system")["mean"] for arm, cells in chosen.groupby("arm")}
    others = [by_arm[arm] for arm in (PUBLISHED, FINER) if arm in by_arm]
    if DEFAULT not in by_arm or not others:
        return {}
    better = pd.concat(others, axis=1).min(axis=1)
    return {str(system): float(by_arm[DEFAULT][system] / better[system]) for system in better.index}


def summary(trainings: Sequence[Mapping[str, Any]], steps: Sequence[int]) -> dict[str, Any]:
    """The figures that the goals are about, and what they are made of.

    Returns:
        ``ratio``: one-step NRMSE of the default model of the whole suite over that of the published
        AViT, geometric mean over systems; ``share_best``: share of the cells of system and step in
        which the default model has the smallest VRMSE among specialists. Nothing is invented where
        an arm was left out: the number is then ``None``.
    """
    table = rows(trainings)
    by_system = ratios(table, "suite")
    best = {score: best_cells(table, score, steps) for score in ("vrmse", "nrmse")}
    robust = best_cells(rows(trainings, "median"), "vrmse", steps)
    has_default = any(one["arm"] == DEFAULT for one in trainings)
    return {
        "ratio": geometric(by_system.values()) if by_system else None,
        "ratio_by_system": by_system,
        "ratio_finetuned": ratios(table, "finetuned"),
        "share_best": share(best["vrmse"]) if has_default else None,
        "share_best_nrmse": share(best["nrmse"]) if has_default else None,
        "share_best_by_median": share(robust) if has_default else None,
        "best": best["vrmse"],
        "goals": GOALS,
    }


def geometric(values: Any) -> float:
    """Geometric mean."""
    return float(np.exp(np.mean(np.log(list(values)))))


def share(best: Mapping[str, str]) -> float:
    """Share of the cells that are the default model's."""
    return sum(arm == DEFAULT for arm in best.values()) / len(best)


def label(stage: str, arm: str) -> str:
    """What tables call a row."""
    if arm == PERSISTENCE:
        return PERSISTENCE
    name = arms()[arm].label
    return {"alone": name, "suite": f"{name}, all systems", "finetuned": f"{name}, finetuned"}[
        stage
    ]


def markdown(result: Mapping[str, Any]) -> str:
    """All tables, as experiments/README.md can hold them."""
    table, steps = rows(result["trainings"]), result["study"]["lead_times"]
    scores, fields = over_seeds(table), over_seeds(table, by_field=True)
    kinds = list(dict.fromkeys((one["stage"], one["arm"]) for one in result["trainings"]))
    alone = [kind for kind in kinds if kind[0] in ("alone", PERSISTENCE)]
    multi = [kind for kind in kinds if kind[0] in ("suite", "finetuned", PERSISTENCE)]
    text = [headline(result)]
    for title, group in (("One model a system", alone), ("One model for all systems", multi)):
        for score in ("vrmse", "nrmse"):
            text += [f"{title}, {score.upper()}, mean over the fields:", ""]
            text += [*grid(scores, score, group, result["systems"], steps), ""]
    text += ["What was trained:", "", *recipe_table(result), ""]
    for score in ("vrmse", "nrmse"):
        text += [f"{score.upper()} by field:", ""]
        text += [*field_grid(fields, score, kinds, result["systems"], steps), ""]
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


Kind = tuple[str, str]


def grid(
    scores: pd.DataFrame, score: str, kinds: Sequence[Kind], systems: Sequence[str],
    steps: Sequence[int],
) -> list[str]:  # fmt: skip
    """A row a system and step, a column a model; the best of a row is bold."""
    lines = _header(["system", "step", *(label(*kind) for kind in kinds)])
    for system in systems:
        for step in steps:
            keys = [(*kind, system, score, step) for kind in kinds]
            lines.append(_line([system, str(step), *_cells(scores, keys)]))
    return lines


def field_grid(
    scores: pd.DataFrame, score: str, kinds: Sequence[Kind], systems: Sequence[str],
    steps: Sequence[int],
) -> list[str]:  # fmt: skip
    """The same, a row a field."""
    lines = _header(["system", "field", "step", *(label(*kind) for kind in kinds)])
    found = scores.reset_index()
    for system in systems:
        for name in found.loc[found["system"] == system, "field"].unique():
            for step in steps:
                keys = [(*kind, system, name, score, step) for kind in kinds]
                lines.append(_line([system, name, str(step), *_cells(scores, keys)]))
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


def _cells(scores: pd.DataFrame, keys: Sequence[tuple[Any, ...]]) -> list[str]:
    found = [scores.loc[key] if key in scores.index else None for key in keys]
    least = min((float(one["mean"]) for one in found if one is not None), default=math.inf)
    texts = []
    for one in found:
        mean = math.nan if one is None else float(one["mean"])
        best = mean == least and math.isfinite(mean)
        cell = "" if one is None else str(Cell(mean, float(one["std"]), best))
        texts.append(f"**{cell}**" if best else cell)
    return texts


def _header(names: Sequence[str]) -> list[str]:
    return [_line(names), "|" + "---|" * len(names)]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
