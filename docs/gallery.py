"""Write docs/gallery.md and its pictures, from the runs of ``make paper``: python docs/gallery.py"""

from __future__ import annotations

import io
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from click.testing import CliRunner
from PIL import Image

from analysis.cli import main as analyze
from replay.cli import simulate_twin
from sim.cli import main as simulate
from sim.records.results import open_run

HERE = Path(__file__).parent
PICTURES = HERE / "figures" / "gallery"
RUNS = Path("runs/paper")
SWEEP, STAYS, SIMULATED, DRAWN = (RUNS / name for name in ("sweep", "stays", "simulated", "gallery"))
MEASURED = Path("validation/cpu")
WIDTH_PX, COLOURS = 620, 128  # of a picture

STAYED = f"simulate run {RUNS}/trace --window 00:00-00:05 --gpus 2 --policy affinity --policy keepalive --stays"
FIGURES = {
    "lines": ("A metric over a factor: means over seeds with 95 % intervals", f"{SWEEP} --metric p99"),
    "needed": ("The inverse: how many GPUs each policy needs for 90 % of the deadlines",
               f"{SWEEP} --metric attainment --limit 0.9"),
    "cdf": ("Distribution of latency over all invocations of all seeds", f"{SWEEP} --where gpus=3"),
    "ccdf": ("Its tail, a panel a value of a factor that is not chosen", f"{SWEEP}"),
    "attainment": ("Attainment over the scale of deadlines, counted after the runs", f"{SWEEP} --where gpus=4"),
    "breakdown": ("Where latency goes", f"{SWEEP} --where gpus=3"),
    "coldstart": ("Where cold starts go", f"{SWEEP} --where gpus=3"),
    "heat": ("What each GPU does when", f"{SWEEP} --where gpus=4 --part occupied"),
    "residency": ("What is in device memory when; runs need `simulate run --stays`", f"{STAYS}"),
    "functions": ("How each function fares, against how often it is called", f"{SWEEP} --where gpus=3"),
    "fairness": ("Whether functions fare alike", f"{SWEEP} --where gpus=3"),
    "pareto": ("What is paid for what; grey is what another beats in all", f"{SWEEP}"),
    "validation": ("Simulated against measured (here on the CPU that stands in for a GPU)",
                   f"{SIMULATED} --against {MEASURED}/runs"),
}  # fmt: skip


def command(name: str) -> str:
    """What draws a figure."""
    return f"analyze figure {name} {FIGURES[name][1]} -o figures"


def page() -> str:
    """The page, whatever the pictures show."""
    study = (HERE / "examples" / "fleet-size.yaml").read_text("utf-8").rstrip()
    parts = [
        "# Figures of studies: a gallery",
        "Every figure of [many runs](howto/sweeps.md) that `analyze figure` draws, each by the command below it. They "
        "are made from one study; [metrics](metrics.md#figures-of-studies) has what each draws. `make gallery` writes "
        "this page.",
        f"```yaml\n{study}\n```",
        "<!-- not run: it takes more than a few seconds -->\n```bash\n"
        f"traces synth --functions 60 --minutes 10 --rate 50 --seed 1 -o {RUNS}/trace\n"
        f"simulate sweep docs/examples/fleet-size.yaml -o {SWEEP}\n```",
        f"The sweep ends with the six figures and the table that its `report` asks for, in `{SWEEP}/paper`. "
        "`analyze paper` makes them again, and with another `--width`.",
    ]
    for name, (what, _) in FIGURES.items():
        before = f"{STAYED} -o {STAYS}\n" if name == "residency" else ""
        parts += [f"## {name}", f"{what}.", f"![{what}](figures/gallery/{name}.png)"]
        parts += [f"<!-- not run: it needs the runs of the study -->\n```bash\n{before}{command(name)}\n```"]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Draw all, in the root of the repository."""
    _run(simulate, [*shlex.split(STAYED), "--force", "-o", str(STAYS)][1:])
    for run in sorted((MEASURED / "runs").glob("*-1")):
        _twin(run)
    PICTURES.mkdir(parents=True, exist_ok=True)
    for name in FIGURES:
        _run(analyze, [*shlex.split(command(name))[1:-1], str(DRAWN), "--name", name])
        _shrink(DRAWN / f"{name}.png", PICTURES / f"{name}.png")
    (HERE / "gallery.md").write_text(page(), "utf-8")
    size = sum(file.stat().st_size for file in PICTURES.glob("*.png"))
    print(f"{len(FIGURES)} pictures, {size:,} bytes")


def _run(group: object, words: Sequence[str]) -> None:
    result = CliRunner().invoke(group, words)  # type: ignore[arg-type]
    assert result.exit_code == 0, result.output


def _twin(path: Path) -> None:
    """Simulate what a recorded run replayed."""
    run = open_run(path)
    scenario = run.manifest["scenario"]
    here = {**scenario, "traces": [str(MEASURED / trace) for trace in scenario["traces"]]}
    shutil.rmtree(SIMULATED / path.name, ignore_errors=True)
    twin = replace(run, manifest={**run.manifest, "scenario": here})
    simulate_twin(twin, str(MEASURED / "calibration.json"), SIMULATED / path.name, force=True)


def _shrink(file: Path, picture: Path) -> None:
    """A small picture of the same, in few colours."""
    image = Image.open(file).convert("RGB")
    small = image.resize((WIDTH_PX, round(image.height * WIDTH_PX / image.width)), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    small.quantize(COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    picture.write_bytes(out.getvalue())


if __name__ == "__main__":
    main()
