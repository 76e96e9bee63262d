"""Hostile input of every kind: seeded attacks, the same ones with a small budget in CI and for as long as you like by
hand: ``python -m tests.abuse --minutes 10``. docs/reliability.md says what they show."""
