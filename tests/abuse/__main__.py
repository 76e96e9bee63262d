"""``python -m tests.abuse --minutes 10``: all attacks for as long, within 8 GiB of memory, with the counts printed."""

from __future__ import annotations

import resource
import time

import click

from tests.abuse.attacks import ATTACKS
from tests.abuse.core import campaign

MEMORY_BYTES = 8 << 30


@click.command()
@click.option("--minutes", default=1.0, show_default=True, help="Time for all attacks together.")
@click.option("--seed", type=int, help="Of all that is drawn.  [default: the time]")
@click.option("--attack", type=click.Choice(list(ATTACKS)), help="Only this one.")
@click.option("--attempt", type=int, help="Only this one, of the attack and the seed.")
def main(minutes: float, seed: int | None, attack: str | None, attempt: int | None) -> None:
    """Attack the readers and the commands; ends with the first attempt that shows a fault."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    seed = int(time.time()) if seed is None else seed
    chosen = [ATTACKS[attack]] if attack else list(ATTACKS.values())
    whole = sum(a.share for a in chosen)
    for one in chosen:
        attempts = None if attempt is None else [attempt]
        outcomes = campaign(one, seed, attempts=attempts, seconds=60 * minutes * one.share / whole)
        counts = ", ".join(f"{n:,} {outcome}" for outcome, n in sorted(outcomes.items()))
        click.echo(f"{one.name}: {outcomes.total():,} attempts with seed {seed}: {counts}")


if __name__ == "__main__":
    main()
