"""`python -m satclip.cli`."""

import sys

from satclip.cli import main

if __name__ == "__main__":
    sys.exit(main())
