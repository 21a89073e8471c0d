"""Run the command ``tagger`` with ``python -m tagger``."""

import sys

from tagger.cli.main import main

sys.exit(main())
