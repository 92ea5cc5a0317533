"""Pictures, drawn from files that a rollout or an evaluation wrote."""
