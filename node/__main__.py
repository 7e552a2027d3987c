"""``python -m node`` is ``hera``."""

from node.cli import main

if __name__ == "__main__":
    main()
