"""``python -m lambdalite``."""

import sys

from lambdalite.cli import main

if __name__ == "__main__":
    sys.exit(main())
