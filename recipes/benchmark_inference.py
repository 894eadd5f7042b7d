#!/usr/bin/env python3
"""How fast, and in how much memory: python recipes/benchmark_inference.py MODEL AUDIO... [--hours=3] [--repeats=5]

On one core, in one run, turn by turn: features and model together, against openSMILE's functionals (extra "baselines") and,
where the folder has a model.onnx, onnxruntime. Gives real-time factors, latency of a 3 s file, and the peak memory of
processes of their own: one answering a file, one going through a generated recording of many hours.
"""

# ruff: noqa: E402
# threads are counted when the libraries are imported, so the environment is set before

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"  # before the libraries look

import numpy as np
import soundfile
import torch

from mtlaug_sb.inference import EmotionRecognizer, OnnxModel
from mtlaug_sb.inference.model_folder import find_folder


def main(arguments):
    """Measure, and print what came out as JSON."""
    parser = argparse.ArgumentParser(
        prog="benchmark_inference.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("audio", metavar="AUDIO", nargs="+", type=pathlib.Path, help="files, some dozens")
    parser.add_argument("--hours", type=float, default=3.0, help="of the long recording")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args(arguments)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    model = EmotionRecognizer.from_hparams(options.model, run_opts={"device": "cpu"})
    wavs = [model.load_audio(path).numpy() for path in options.audio]
    seconds = sum(map(len, wavs)) / model.sample_rate
    report = {"files": len(wavs), "seconds": round(seconds, 1), "repeats": options.repeats, "torch": torch.__version__}
    report["real_time_factor"] = compare(systems(model, options.model), wavs, seconds, options.repeats)
    print(json.dumps(report, indent=1), file=sys.stderr)
    report["latency_3_s_ms"] = latency(model)
    report["peak_memory_mb"] = memory(options.model, model.sample_rate, options.hours)
    print(json.dumps(report, indent=1))
    return report


def systems(model, source):
    """{name: function of samples}."""
    found = {"mtlaug_sb": lambda wav: model.classify_batch(torch.from_numpy(wav))}
    onnx_file = find_folder(source) / "model.onnx"
    if onnx_file.is_file():
        onnx_model = OnnxModel(onnx_file)
        found["mtlaug_sb, onnxruntime"] = lambda wav: onnx_model(wav[None])
    try:
        import opensmile
    except ImportError:
        print("openSMILE is not installed (extra 'baselines'): measured without it", file=sys.stderr)
        return found
    for name in ("eGeMAPSv02", "ComParE_2016"):
        smile = opensmile.Smile(opensmile.FeatureSet[name], opensmile.FeatureLevel.Functionals, num_workers=1)
        found[f"openSMILE {name}"] = lambda wav, smile=smile: smile.process_signal(wav, model.sample_rate)
    return found


def compare(candidates, wavs, seconds, repeats):
    """Median, least and greatest real-time factor of each, measured in turns; and how many times slower than the first."""
    times = {name: [] for name in candidates}
    for answer in candidates.values():
        answer(wavs[0])  # the first time is another
    for _ in range(repeats):
        for name, answer in candidates.items():
            start = time.perf_counter()
            for wav in wavs:
                answer(wav)
            times[name].append((time.perf_counter() - start) / seconds)
    first = next(iter(times))
    return {
        name: {
            "median": round(statistics.median(values), 5),
            "range": [round(min(values), 5), round(max(values), 5)],
            # turn by turn: what slows the machine down slows both
            "times_slower": round(statistics.median(v / f for v, f in zip(values, times[first], strict=True)), 2),
        }
        for name, values in times.items()
    }


def latency(model, n=200):
    """Median and 95th percentile of classify_file, reading included."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "three.wav"
        soundfile.write(path, np.random.default_rng(0).normal(size=3 * model.sample_rate) * 0.1, model.sample_rate)
        times = []
        for _ in range(n):
            start = time.perf_counter()
            model.classify_file(path)
            times.append(1000 * (time.perf_counter() - start))
    return {"median": round(statistics.median(times), 2), "p95": round(sorted(times)[int(0.95 * n)], 2)}


def memory(source, sample_rate, hours):
    """Peak resident memory (MB) of processes that import, load, answer a file, and go through long recordings."""
    load = (
        "import torch\ntorch.set_num_threads(1)\nfrom mtlaug_sb.inference import EmotionRecognizer\n"
        f"model = EmotionRecognizer.from_hparams({str(source)!r}, run_opts={{'device': 'cpu'}})\n"
    )
    steps = {"loaded": ""}
    result = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, length in {"3 s": 3 / 3600, f"{hours / 10:g} h": hours / 10, f"{hours:g} h": hours}.items():
            path = pathlib.Path(folder) / f"{len(steps)}.wav"
            _write_long(path, length, sample_rate)
            steps[f"classify_file {name}" if length < 0.01 else f"timeline {name}"] = (
                f"model.classify_file({str(path)!r})\n"
                if length < 0.01
                else f"print(sum(1 for _ in model.timeline({str(path)!r})))\n"
            )
        for name, step in steps.items():
            code = load + step + "print([line.split()[1] for line in open('/proc/self/status') if 'VmHWM' in line][0])"
            start = time.perf_counter()
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
            result[name] = round(int(done.stdout.split()[-1]) / 1000)
            print(f"{name}: {result[name]} MB, {time.perf_counter() - start:.0f} s", file=sys.stderr)
    return result


def _write_long(path, hours, sample_rate):
    """A recording of noise that swells and fades."""
    rng = np.random.default_rng(0)
    minute = rng.normal(size=60 * sample_rate) * 0.05 * (1.1 + np.sin(np.arange(60 * sample_rate) / sample_rate))
    samples = round(3600 * hours * sample_rate)
    with soundfile.SoundFile(path, "w", sample_rate, 1, "PCM_16") as file:
        for start in range(0, samples, len(minute)):
            file.write(minute[: samples - start])


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (ValueError, OSError) as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
