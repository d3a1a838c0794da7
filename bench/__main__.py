"""`python -m bench [NAME…]`: measure, print, and with --write put the figures into docs/performance.md."""

import signal
import sys
from collections.abc import Callable

import click

from bench import (
    cli,
    cold_start,
    creates,
    density,
    fork,
    memory,
    no_wait,
    placement,
    report,
    requests,
    scale,
    warm_start,
)
from bench.figures import Figures
from bench.machine import describe
from bench.options import Accel, Options, Unavailable

BENCHMARKS: dict[str, Callable[[Options], Figures]] = {
    "cold-start": cold_start.measure,
    "warm-start": warm_start.measure,
    "fork": fork.measure,
    "density": density.measure,
    "no-wait": no_wait.measure,
    "requests": requests.measure,
    "scale": scale.measure,
    "memory": memory.measure,
    "cli": cli.measure,
    "placement": placement.measure,
    "creates": creates.measure,
}


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(BENCHMARKS)))
@click.option("--pairs", type=click.IntRange(1, 100), default=5, show_default=True, help="Measurements of each side.")
@click.option("--accel", type=click.Choice(["auto", "kvm", "tcg"]), default="auto", show_default=True)
@click.option("--write", is_flag=True, help="Rewrite the tables in docs/performance.md.")
def main(names: tuple[str, ...], pairs: int, accel: Accel, write: bool) -> None:
    """Measure Skerry against what it is compared with, in turns. All benchmarks if none is named."""
    # What a benchmark has started ends with its blocks, also when the benchmark is ended.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(143))
    options = Options(pairs, accel)
    left_out = [name for name in names or BENCHMARKS if not _measured(name, options, write)]
    if left_out:
        sys.exit(f"not measured: {', '.join(left_out)}")


def _measured(name: str, options: Options, write: bool) -> bool:
    """Measure one; whether this machine could."""
    click.echo(f"{name} …")
    try:
        figures = BENCHMARKS[name](options)
    except Unavailable as reason:
        click.echo(f"{name} {reason}", err=True)
        return False
    text = f"{figures.markdown()}\n\n{describe(options.accel)}"
    click.echo(f"\n{text}\n")
    if write:
        report.write(name, text)
    return True


if __name__ == "__main__":
    main()
