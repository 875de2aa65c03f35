"""``python -m stridiag``: the command line, where the script is not on the path."""

from stridiag.cli import main

if __name__ == "__main__":
    main()
