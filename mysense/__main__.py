"""`python -m mysense` is the command `mysense`."""

import sys

from mysense.cli import main

if __name__ == "__main__":
    sys.exit(main())
