"""``python -m geomrelu``: the command line."""

from geomrelu_command import main

if __name__ == "__main__":
    main()
