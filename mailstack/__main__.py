"""`python -m mailstack` is the command `mailstack`."""

from mailstack.cli import main

if __name__ == "__main__":
    main()
