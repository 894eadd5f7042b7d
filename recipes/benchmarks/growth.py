"""Growth: start-up, memory and steps per second of a training against the rows of its manifest."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import soundfile

from mtlaug_sb.dataio.corpus_manifest import MANY

CLASSES = ("anger", "happiness", "neutral", "sadness")
RATE = 16000


def measure(options):
    """{rows: figures}, each of a process of its own, from its start to some steps of hparams/mtl_aug.yaml."""
    result = {}
    for rows in options.rows:
        with tempfile.TemporaryDirectory(prefix="benchmark_") as folder:
            table = write_table(pathlib.Path(folder), rows)
            command = [sys.executable, str(pathlib.Path(__file__).with_name("start_up.py")), str(table), str(options.steps)]
            environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
            done = subprocess.run(command, env=environment, capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(f"the training on {rows} rows failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
            result[rows] = json.loads(done.stdout.splitlines()[-1])
    first, last = (result[rows] for rows in (options.rows[0], options.rows[-1]))
    return {"rows": result, "step_of_last_to_first": last["step_ms"] / first["step_ms"]}


def show(result):
    """Lines of a table."""
    yield "   rows   start s (processor s)   peak MB   step ms"
    for rows, r in result["rows"].items():
        yield f"{rows:>8} {r['start_s']:>9.1f} ({r['start_cpu_s']:.1f}) {r['peak_mb']:>12.0f} {r['step_ms']:>9.1f}"
    yield f"step at the most rows / at the fewest: {result['step_of_last_to_first']:.2f}"


def write_table(folder, rows, n_speakers=1000):
    """A CSV for ``corpus: folder`` with durations, of noise; most of many files are links, which take no room."""
    generator = np.random.default_rng(0)
    n_files = rows if rows <= MANY else 64  # where all are opened, the same samples twice would be a leak
    durations = [1.0 + 2.0 * i / n_files for i in range(n_files)]
    files = [folder / f"noise_{i}.wav" for i in range(n_files)]
    for file, seconds in zip(files, durations, strict=True):
        soundfile.write(file, 0.1 * generator.normal(size=round(RATE * seconds)), RATE)
    n_speakers = min(n_speakers, rows // 10)
    for speaker in range(n_speakers):
        (folder / str(speaker)).mkdir()
    table = folder / "table.csv"
    with open(table, "w", encoding="utf-8") as file:
        file.write("path,duration_s,speaker,emotion\n")
        for i in range(rows):
            # a name of its own for each row: the same path twice would be the same recording in two splits
            path = f"{i % n_speakers}/utterance_{i}.wav"
            os.link(files[i % n_files], folder / path)
            file.write(f"{path},{durations[i % n_files]},{i % n_speakers},{CLASSES[i // n_speakers % 4]}\n")
    return table
