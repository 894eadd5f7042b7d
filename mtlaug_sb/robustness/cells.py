"""Finished runs, and what each of them is tested on."""

import hashlib
import json
import pathlib
from dataclasses import dataclass

import ruamel.yaml
import torch

from mtlaug_sb.dataio.manifest import read_manifest
from mtlaug_sb.dataio.run_folder import REPLACED


@dataclass(frozen=True)
class Utterance:
    """What a system is asked about.

    Attributes
    ----------
    id : str
        Of the manifest.
    record : dict
        Of the manifest.
    wav : torch.Tensor
        Samples [time].
    truth : str
        Its class.
    """

    id: str
    record: dict
    wav: torch.Tensor
    truth: str


@dataclass(frozen=True)
class Cell:
    """One finished training.

    Attributes
    ----------
    folder : pathlib.Path
        Of the run.
    seed : str
        Its repeat.
    fold : str
        The name of its fold.
    results : dict
        Of results.json.
    """

    folder: pathlib.Path
    seed: str
    fold: str
    results: dict

    @property
    def class_label(self):
        """Name of the label that holds the class."""
        settings = self.folder / "hyperparams.yaml"
        if not settings.is_file():
            return self.results["class_label"]
        return ruamel.yaml.YAML().load(settings)["class_label"]

    def fingerprint(self):
        """What identifies the trained system, 16 hexadecimal digits: a training anew is another one."""
        model = self.folder / "model"
        files = [p for p in sorted(model.rglob("*")) if p.is_file()] if model.is_dir() else [self.folder / "results.json"]
        return hashlib.sha1(b"".join(hashlib.sha1(p.read_bytes()).digest() for p in files)).hexdigest()[:16]

    def records(self, split="test"):
        """The manifest of a split.

        Raises
        ------
        FileNotFoundError
            If the run's folder no longer has it.
        """
        path = self.folder / "save" / f"{split}.json"
        if not path.is_file():
            raise FileNotFoundError(f"'{path}' is missing: it says what the run was tested on; train again to have it")
        return read_manifest(path)


def find_cells(result):
    """The cells of a folder: of a run, or of a grid of crossvalidate.py, crosscorpus.py or svm_baseline.py.

    Raises
    ------
    FileNotFoundError
        If the folder is neither, or a grid that is not finished.
    """
    result = pathlib.Path(result)
    if (result / "results.json").is_file():
        results = _read(result / "results.json")
        return [Cell(result, str(results["seed"]), result.name, results)]
    if not (result / "summary.json").is_file():
        started = result.is_dir() and any(result.glob("seed_*"))
        what = "the grid there is not finished: call its command again" if started else "neither a run nor a grid"
        raise FileNotFoundError(f"no results.json and no summary.json in '{result}': {what}")
    repeats = _read(result / "summary.json")["repeats"]  # others may be in the making
    cells = [
        Cell(path.parent, path.parent.parent.name.removeprefix("seed_"), path.parent.name, _read(path))
        for path in sorted(result.glob("seed_*/fold_*/results.json"))
        if path.parent.parent.name.removeprefix("seed_") in repeats and not path.parent.name.endswith(REPLACED)
    ]
    if not cells:
        raise FileNotFoundError(f"'{result}' has a summary but no cell seed_*/fold_*: the trained systems are needed")
    return cells


def read_utterances(records, class_label, classes, read_audio):
    """A list of ``Utterance``, of the records with one of the classes."""
    return [
        Utterance(k, r, read_audio(r["path"]), str(r[class_label]))
        for k, r in records.items()
        if str(r.get(class_label)) in classes and r["speaker"] is not None
    ]


def _read(path):
    return json.loads(path.read_text(encoding="utf-8"))
