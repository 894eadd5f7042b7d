"""The cells of a grid: where they run, what they share, and what becomes of one that fails. For recipes/crossvalidate.py."""

import hashlib
import json
import logging
import os
import pathlib
import shutil
import threading
import time
import traceback

import joblib
import torch
import train
from speechbrain.utils.distributed import infer_device
from tqdm import tqdm

from mtlaug_sb.atomic import write_atomically
from mtlaug_sb.dataio.preparation import check_finished_data, make_splits
from mtlaug_sb.dataio.records import Records
from mtlaug_sb.dataio.run_folder import is_finished
from mtlaug_sb.dataio.shared_data import INDEX, SharedData, corpora_of, corpus_key, write_shared
from mtlaug_sb.experiment import resolve_experiment
from mtlaug_sb.feature_cache import FeatureCache
from mtlaug_sb.options import read_settings

WORKER_DIED = joblib.externals.loky.process_executor.TerminatedWorkerError
CACHE = "cells.cache"  # in the grid's folder while it runs
ON_A_GPU = 8  # cells at a time, if nobody says how many
ROUNDS = 3  # a cell that crashed is tried so often
_caches = {}  # of a worker: folder of the shared data -> audio, features and manifests


def add_worker_options(parser):
    """The command-line options that say how many repeats there are, and where cells run."""
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--jobs", type=int)
    parser.add_argument("--backend", choices=("loky", "ray"), default="loky")
    parser.add_argument("--cell_cpus", type=int, default=1)
    parser.add_argument("--cell_gpus", type=float, default=0)


def check_worker_options(own):
    """Refuse values that make no sense."""
    for option in ("repeats", "jobs", "cell_cpus"):
        if (value := getattr(own, option)) is not None and value < 1:
            raise ValueError(f"--{option} must be at least 1, is {value}")
    if own.backend != "ray" and (own.cell_cpus, own.cell_gpus) != (1, 0):
        raise ValueError("--cell_cpus and --cell_gpus are for --backend=ray; local processes share the machine")


def run_grid(folder, hparams_file, run_opts, overrides, cells, manifests, read_audio, own):
    """Run those of the cells that are not finished, and write train_seconds.json.

    Arguments
    ---------
    folder : pathlib.Path
        Of the grid.
    hparams_file, run_opts, overrides
        As ``read_arguments`` gives them.
    cells : dict
        Output folder -> the cell's overrides.
    manifests : dict
        ``corpus_key`` -> manifest, of all corpora that cells read.
    read_audio : AudioReader
        That has read them.
    own : argparse.Namespace
        With the options of ``add_worker_options``.

    Raises
    ------
    ValueError
        If a cell could not be trained on these data: before any is (but for streamed speech, which each cell checks).
    FileExistsError
        If a finished cell had other settings, or other data.
    RuntimeError
        If cells did not finish; each is named with its error.
    """
    open_cells = [p for p in cells if not is_finished(hparams_file, cells[p])]
    check_data(hparams_file, cells, cells.keys() - set(open_cells), manifests)
    failures = {}
    if open_cells:
        device = run_opts.device or infer_device()
        if own.backend == "ray":
            workers = ray_workers(own.jobs, own.cell_cpus, own.cell_gpus)
        else:
            workers = local_workers(own.jobs, device)
        megabytes = read_audio.cache_mb
        features_of = resolve_experiment(hparams_file, overrides), device, workers["threads"]
        shared = share(folder / CACHE, features_of, manifests, read_audio, megabytes)
        read_audio.forget()
        failures = run_cells(hparams_file, run_opts, cells, open_cells, workers, shared, megabytes)
    if failures:
        listed = "\n".join(f"{path}: {error}" for path, error in failures.items())
        raise RuntimeError(f"{len(failures)} of {len(cells)} cells did not finish (call again to retry them):\n{listed}")
    seconds = {str(p.relative_to(folder)): json.loads((p / "results.json").read_text())["train_seconds"] for p in cells}
    write_atomically(folder / "train_seconds.json", json.dumps(seconds, indent=1))


def check_data(hparams_file, cells, finished, manifests):
    """Refuse what one cell after the other would: splits that make no sense, and a finished cell of other data."""
    tables = {corpus: Records.of(manifest) for corpus, manifest in manifests.items()}
    muted = logging.root.manager.disable
    logging.disable(max(muted, logging.WARNING))  # what is left out of the data has been said
    try:
        for path, overrides in tqdm(cells.items(), desc="checking cells", unit="cell", leave=False, delay=2):
            hparams = read_settings(hparams_file, overrides)
            corpora = [corpus_key(*corpus) for corpus in corpora_of(hparams)]
            if not tables.keys() >= set(corpora):
                continue  # a cell with a corpus of its own, which it reads itself
            try:
                splits = make_splits(hparams, tables[corpora[0]], [tables[corpus] for corpus in corpora[1:]])
            except ValueError as error:
                raise ValueError(f"{path.name}: {error}") from None
            if path in finished:
                check_finished_data(pathlib.Path(hparams["save_folder"]), splits)
    finally:
        logging.disable(muted)


def local_workers(jobs=None, device="cpu"):
    """Processes on this machine: joblib's settings, threads of a cell, and who must live for them to live."""
    # each process has some gigabytes of a GPU, for PyTorch and for features
    jobs = jobs or (os.cpu_count() if device == "cpu" else min(os.cpu_count(), ON_A_GPU))
    stated = os.environ.get("OMP_NUM_THREADS", "")
    threads = max(1, int(stated)) if stated.isdigit() else max(1, os.cpu_count() // jobs)
    return {"backend": {"backend": "loky", "n_jobs": jobs}, "threads": threads, "parent": os.getpid()}


def ray_workers(jobs=None, cpus=1, gpus=0.0):
    """The same on a Ray cluster, as many as fit; a cell whose process dies is begun again by Ray."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if "RAY_ADDRESS" not in os.environ:
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # of a cluster of one's own, on this machine
    try:
        import ray
        from ray.util.joblib import register_ray
    except ModuleNotFoundError:
        raise ValueError("--backend=ray: Ray is not installed: pip install -e '.[cluster]'") from None
    register_ray()
    recipes = pathlib.Path(__file__).resolve().parent
    path = os.pathsep.join([str(recipes), str(recipes.parent), os.environ.get("PYTHONPATH", "")])
    if not ray.is_initialized():
        ray.init(runtime_env={"env_vars": {"PYTHONPATH": path}}, include_dashboard=False, log_to_driver=False)
    there = ray.cluster_resources()
    room = int(there.get("CPU", 0) // cpus)
    if gpus > 0:
        room = min(room, int(there.get("GPU", 0) / gpus))
    if room < 1:
        raise ValueError(
            f"--backend=ray: a cell needs {cpus} CPUs and {gpus:g} GPUs; the cluster has "
            f"{there.get('CPU', 0):g} and {there.get('GPU', 0):g}"
        )
    cell = {"num_cpus": cpus, "num_gpus": gpus, "max_restarts": ROUNDS - 1, "max_task_retries": ROUNDS - 1}
    jobs = min(jobs or room, room)
    return {"backend": {"backend": "ray", "n_jobs": jobs, "ray_remote_args": cell}, "threads": cpus, "parent": None}


def share(folder, features_of, manifests, read_audio, megabytes):
    """Write what all cells need into the folder, unless it is there; returns where.

    Features depend on ``features_of``: settings, the device that they are kept on, and threads, of which one more or less
    may change the last bits.
    """
    made_by = json.dumps([*features_of, manifests, torch.__version__])
    shared = folder / hashlib.sha1(made_by.encode()).hexdigest()[:16]
    if not (shared / INDEX).exists():
        shutil.rmtree(folder, ignore_errors=True)
        write_shared(shared, manifests, read_audio, megabytes)
    (shared / "features").mkdir(exist_ok=True)
    return shared


def run_cells(hparams_file, run_opts, cells, open_cells, workers, shared, megabytes):
    """Run the open cells, some at a time; returns {path: error} of what failed in every round."""
    failures, wrong = {}, set()
    before = {p: _stamp(p) for p in cells}  # with --overwrite there are finished cells of another training
    bar = tqdm(total=len(cells), initial=len(cells) - len(open_cells), unit="cell", smoothing=0)
    for _ in range(ROUNDS):
        if not open_cells:
            break
        common = (workers["threads"], str(shared), megabytes, os.getcwd(), workers["parent"])
        work = [joblib.delayed(run_cell)(hparams_file, run_opts, cells[p], *common) for p in open_cells]
        try:
            for path, error, hopeless in in_any_order(workers["backend"], work, bar, open_cells, before):
                failures[path] = error
                if hopeless:
                    wrong.add(path)
                    # wrong settings or data: every cell would say the same; one alone may have a fault of its own
                    if len(wrong) == min(2, len(cells)) and not any(_is_new(p, before) for p in cells):
                        raise ValueError(error)
        except WORKER_DIED as error:
            # what it had finished is on disk
            bar.write(f"a worker died: {str(error).splitlines()[0]}")
        open_cells = [p for p in open_cells if not _is_new(p, before)]
    bar.close()
    return {p: failures.get(str(p), "its worker died") for p in open_cells}


def _stamp(path):
    """When a cell was finished; None where it is not."""
    try:
        return (path / "results.json").stat().st_mtime_ns
    except FileNotFoundError:
        return None


def _is_new(path, before):
    """Whether a cell has been finished since the stamps ``before`` were taken."""
    return _stamp(path) not in (None, before[path])


def in_any_order(backend, work, bar, cells, before):
    """Results as they come, where the backend can give them so; the bar follows the cells on disk."""
    finished = threading.Event()
    done = bar.n

    def catch_up():
        if new := done + sum(_is_new(p, before) for p in cells) - bar.n:
            bar.update(new)

    def follow():
        while not finished.wait(1.0):
            catch_up()

    follower = threading.Thread(target=follow, daemon=True)
    follower.start()
    try:
        with joblib.parallel_config(**backend):
            return_as = "generator_unordered" if backend["backend"] == "loky" else "list"
            yield from joblib.Parallel(return_as=return_as, batch_size=1, pre_dispatch="all")(work)
    finally:
        finished.set()
        follower.join()
        catch_up()


def run_cell(hparams_file, run_opts, overrides, threads, shared, megabytes, cwd, parent):
    """Train one cell; returns its folder, its error or None, and whether that looks like wrong settings."""
    os.chdir(cwd)
    torch.set_num_threads(threads)
    is_apart = parent not in (None, os.getpid())
    if is_apart:
        die_with(parent)
    path = overrides["output_folder"]
    try:
        if shared not in _caches:
            _caches.clear()
            data = SharedData(shared)
            features = FeatureCache(megabytes, pathlib.Path(shared) / "features")
            _caches[shared] = {"audio": data, "manifests": data.manifests, "features": features}
        train.run(hparams_file, run_opts, overrides, _caches[shared], quiet=True)
    except (ValueError, TypeError, FileNotFoundError, FileExistsError) as error:
        return path, f"{path}: {error}", True
    except Exception as error:
        if isinstance(error, torch.AcceleratorError) and is_apart:
            os._exit(1)  # a GPU that has failed a process fails it for ever: the next cell needs another one
        return path, traceback.format_exc(limit=-3), False
    return path, None, False


def die_with(parent):
    """End this process when the one that started it has ended: a grid called again must not meet it in a cell's folder."""
    if any(thread.name == "die_with" for thread in threading.enumerate()):
        return

    def watch():
        while os.getppid() == parent:
            time.sleep(0.2)
        os._exit(1)

    threading.Thread(target=watch, name="die_with", daemon=True).start()
