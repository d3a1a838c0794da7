"""The command line: a light client of the API, plus what an administrator does on the machine itself."""


def main() -> None:
    """The `skerry` command."""
    from skerry.cli.app import run

    run()
