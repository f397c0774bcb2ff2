"""`python -m finetune` is the program `finetune`."""

import sys

from finetune.cli.program import main

sys.exit(main())
