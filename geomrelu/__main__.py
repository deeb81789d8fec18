"""``python -m geomrelu``: the command line."""

from geomrelu.cli import main

if __name__ == "__main__":
    main()
