"""The entry point: a lone ``--version`` is answered before anything is imported."""

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    if sys.argv[1:] == ["--version"]:
        from aerobot import __version__

        sys.stdout.write(f"aerobot {__version__}\n")
        return
    from aerobot.cli.app import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
