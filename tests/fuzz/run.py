"""`python -m tests.fuzz.run TARGET [libFuzzer's arguments]`: one target, its reader instrumented by atheris."""

import sys

import atheris

with atheris.instrument_imports(include=["skerry"]):
    from tests.fuzz.targets import TARGETS

SECONDS_PER_INPUT = 10
MEGABYTES = 2048


def main() -> None:
    """Fuzz until time is up or a promise is broken: then the input is kept and the exit status isn't 0."""
    name, *more = sys.argv[1:]
    found = TARGETS[name]
    limits = [f"-max_len={found.longest}", f"-timeout={SECONDS_PER_INPUT}", f"-rss_limit_mb={MEGABYTES}"]
    atheris.Setup([sys.argv[0], *limits, *more], found.run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
