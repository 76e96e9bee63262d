"""All attacks, by name."""

from __future__ import annotations

from tests.abuse import commands, inputs

ATTACKS = {attack.name: attack for attack in (*inputs.ATTACKS, *commands.ATTACKS)}
