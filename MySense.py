#!/usr/bin/env python3
"""MySense from a checkout: `python MySense.py run` is what `mysense run` is once installed."""

import sys

from mysense.cli import main

if __name__ == "__main__":
    sys.exit(main())
