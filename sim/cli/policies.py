"""``simulate policies``: the known policies."""

from __future__ import annotations

import json
from typing import Any

import click

from sim.terminal.console import ProjectCommand, echo


@click.command(cls=ProjectCommand)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def policies(as_json: bool) -> None:
    """List the policies, their parameters with defaults, and where each comes from.

    What a policy needs beyond whole workers, the simulator carries; a replay carries what its help says.

    \b
    Example:
      simulate policies
    """
    from sim.policies import known
    from sim.protocol import Need
    from sim.settings import parameters

    listed: list[dict[str, Any]] = [
        {
            "name": name,
            "parameters": {k: default for k, (_, default) in parameters(policy).items()},
            "workers": policy.workers[0].value,
            "needs": [need.value for need in Need if need in policy.needs],
            "summary": (policy.__doc__ or "").partition("\n")[0],
            "source": policy.source,
        }
        for name, policy in known().items()
    ]
    if as_json:
        click.echo(json.dumps(listed, indent=1))
        return
    for entry in listed:
        choices = {key: kind for key, (kind, _) in parameters(known()[entry["name"]]).items()}
        settings = ", ".join(f"{k}={_values(v, choices[k])}" for k, v in entry["parameters"].items()) or "none"
        echo(f"{entry['name']}\n  {entry['summary']}")
        needs = ", ".join(entry["needs"]) or "none"
        echo(f"  parameters: {settings}   workers: {entry['workers']}   needs: {needs}\n  source: {entry['source']}\n")


def _values(default: Any, kind: Any) -> str:
    """What a parameter can be, its default first: all words of which it is one; of numbers the default alone."""
    if isinstance(kind, tuple):
        return "|".join(sorted(kind, key=lambda word: word != default))
    return f"{default:g}"
