"""`python -m plumb`."""

import sys

from plumb.cli import main

sys.exit(main())
