"""``python -m mpp`` is ``mpp``."""

import sys

from mpp.cli.main import program

sys.exit(program())
