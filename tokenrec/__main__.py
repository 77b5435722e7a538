"""`python -m tokenrec`."""

from tokenrec.cli.main import main

if __name__ == "__main__":
    main()
