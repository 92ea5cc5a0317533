"""An application in the browser to look through what a rollout or an evaluation wrote."""
