"""`python -m heliograph`: the same as the `heliograph` command."""

from heliograph.cli import main

if __name__ == "__main__":
    main(prog_name="python -m heliograph")
