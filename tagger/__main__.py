"""``python -m tagger`` is the command ``tagger``."""

import sys

from tagger.cli.main import main

sys.exit(main())
