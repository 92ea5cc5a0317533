"""``python -m mpp`` is ``mpp``."""

import sys

from mpp.cli.main import main

sys.exit(main())
