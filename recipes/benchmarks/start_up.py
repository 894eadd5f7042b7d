"""One training of recipes/train.py up to some steps, timed from the start of its process: start_up.py TABLE STEPS"""

import contextlib
import itertools
import json
import pathlib
import statistics
import sys
import time

STARTED = time.time()
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "recipes")]


class Enough(Exception):
    """All steps have been seen."""


def main(table, steps):
    """Print as JSON: seconds before the first step, of which of the processor, the peak memory, and the time of a step."""
    import train  # imports are a part of the start

    from mtlaug_sb.brain import MultiTaskBrain

    fit_batch, times = MultiTaskBrain.fit_batch, []
    figures = {}

    def timed(self, batch):
        if not figures:
            figures["start_s"] = time.time() - STARTED
            figures["start_cpu_s"] = time.process_time()
        loss = fit_batch(self, batch)
        times.append(time.perf_counter())
        if len(times) > steps + 5:
            raise Enough
        return loss

    MultiTaskBrain.fit_batch = timed
    arguments = [ROOT / "hparams" / "mtl_aug.yaml", "--corpus=folder", f"--data_folder={table}", "--cache_mb=0"]
    arguments += ["--device=cpu", "--tensorboard=False", "--noprogressbar", f"--output_folder={table.parent / 'run'}"]
    with contextlib.suppress(Enough):
        train.main([str(a) for a in arguments])
    # from one step's end to the next: reading is a part of it; the first ones warm up
    figures["step_ms"] = 1000 * statistics.median(b - a for a, b in itertools.pairwise(times[5:]))
    figures["peak_mb"] = peak_mb()
    print(json.dumps(figures))


def peak_mb():
    """Most memory that this process has had resident."""
    status = pathlib.Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) / 1000


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), int(sys.argv[2]))
