"""Rollouts: models step histories forward, and the result is an ordinary dataset again."""

from mpp.rollouts.ensembles import ensemble_mean, ensemble_spread
from mpp.rollouts.forward import RolloutStopped, rollout
from mpp.rollouts.truth import with_truth

__all__ = ["RolloutStopped", "ensemble_mean", "ensemble_spread", "rollout", "with_truth"]
