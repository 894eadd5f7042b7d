"""From a corpus' folder to checked splits on disk."""

import logging
import pathlib

from mtlaug_sb.dataio.corpus_manifest import build_manifest
from mtlaug_sb.dataio.labelled_speakers import LEFT_OUT, draw_labelled_speakers
from mtlaug_sb.dataio.manifest import read_manifest, write_manifest
from mtlaug_sb.dataio.records import Records
from mtlaug_sb.dataio.shared_data import corpora_of, corpus_key
from mtlaug_sb.dataio.splits import check_splits, exclude_speakers, keep_classes, split_by_speaker
from mtlaug_sb.registry import find, make

logger = logging.getLogger(__name__)
SPLITS = ("train", "valid", "test", "unlabelled")


def prepare(hparams, read_audio, manifests=None, shards=None):
    """Write ``train.json``, ``valid.json``, ``test.json`` and, with unlabelled speech, ``unlabelled.json``; returns them.

    Arguments
    ---------
    hparams : dict
        ``corpus``, ``corpus_options``, ``data_folder``, ``class_label``, ``classes``, ``test_speaker``,
        ``excluded_speakers``, ``n_valid_speakers``, ``n_train_speakers``, ``left_out_speakers``, ``seed``,
        ``skip_bad_audio``, ``unlabelled_corpus``, ``unlabelled_options``, ``unlabelled_folder``, ``unlabelled_max_s``,
        ``save_folder``.
    read_audio : AudioReader
        Opens every file once.
    manifests : dict or None
        Of corpora that have been read already (see ``shared_data``).
    shards : Shards or None
        Unlabelled speech that is streamed: it must have nothing of the held-out speakers, either.

    Returns
    -------
    dict
        Split -> Records.

    Raises
    ------
    FileExistsError
        If an unfinished run in the folder was made with other data.
    """
    manifests = manifests or {}
    records, *unlabelled_records = (
        Records.of(manifests.get(corpus_key(*corpus)) or read_corpus(*corpus, hparams, read_audio))
        for corpus in corpora_of(hparams)
    )
    splits = make_splits(hparams, records, unlabelled_records)
    if shards is not None:
        shards.check_splits(splits)
    folder = pathlib.Path(hparams["save_folder"])
    if any(folder.glob("CKPT*")):
        check_same_data(folder, splits)
    for split, part in splits.items():
        write_manifest(part, folder / f"{split}.json")
        n_speakers, hours = len(part.counts("speaker").keys() - {None}), part.durations.sum() / 3600
        logger.info("%-10s %5d utterances, %3d speakers, %6.2f h", split, len(part), n_speakers, hours)
    if shards is not None:
        logger.info("%-10s %5d utterances in %d shards", "streamed", len(shards), len(shards.shards))
    return splits


def make_splits(hparams, records, unlabelled_records=()):
    """{split: Records} of a corpus, and of further speech without labels, as a run with these settings has them, checked.

    Raises
    ------
    ValueError
        If they share a speaker or a recording, or one of them lacks what it needs.
    """
    label, names = hparams["class_label"], hparams["classes"]
    records = exclude_speakers(records, hparams["excluded_speakers"])
    without_label = records.where(label, lambda value: value is None)
    splits = split_by_speaker(
        keep_classes(records, label, names, hparams["corpus"]),
        _test_speakers(hparams["test_speaker"]),
        hparams["n_valid_speakers"],
        hparams["seed"],
    )
    held_out = {s for split in ("valid", "test") for s in splits[split].counts("speaker")}
    if hparams["left_out_speakers"] not in LEFT_OUT:
        raise ValueError(f"left_out_speakers must be {' or '.join(LEFT_OUT)}, is {hparams['left_out_speakers']!r}")
    splits["train"], left_out = draw_labelled_speakers(splits["train"], hparams["n_train_speakers"], hparams["seed"])
    if hparams["left_out_speakers"] == "dropped":
        held_out |= left_out.counts("speaker").keys()
    else:
        without_label = Records.joined(without_label, left_out.without(label))
    unlabelled = without_label.where("speaker", lambda s: s not in {None, *held_out})
    if without_label:
        logger.info("%d utterances have no %s: %d of them train as unlabelled speech, the others are of held-out or unknown "
                    "speakers", len(without_label), label, len(unlabelled))  # fmt: skip
    # whatever it knows of the classes is not used: the same as any speech
    unlabelled = Records.joined(unlabelled, *(more.renamed("unlabelled/").without(label) for more in unlabelled_records))
    if unlabelled:
        splits["unlabelled"] = unlabelled
    check_splits(splits, label, names)
    return splits


def check_finished_data(folder, splits):
    """Refuse to count a run as finished whose records, kept in this folder, were others, wherever the files lie now.

    Raises
    ------
    FileExistsError
        Names the run and one of the utterances.
    """
    if (folder / "train.json").is_file():  # else somebody has cleared up
        _refuse_other_data(folder, splits, _wherever_they_lie)


def check_same_data(folder, splits):
    """Refuse to go on with a run whose manifests, in this folder, are not those of the splits.

    Raises
    ------
    FileExistsError
        Names the run and one of the utterances.
    """
    _refuse_other_data(folder, splits, lambda records: records)


def _refuse_other_data(folder, splits, compared):
    for split in SPLITS:
        path = folder / f"{split}.json"
        was = compared(read_manifest(path) if path.exists() else Records())
        now = compared(splits.get(split, Records()))
        if was != now:
            other = sorted(name for name in was.keys() | now.keys() if was.get(name) != now.get(name))
            raise FileExistsError(
                f"the data of the run in '{folder.parent}' was another ({split}: {len(other)} utterances, such as "
                f"'{other[0]}'); choose another --output_folder, or --overwrite=True to train anew"
            )


def _wherever_they_lie(records):
    """The records without their places; a large corpus was not read, and knows no recordings."""
    return {k: {**r, "path": r.get("recording", r["path"])} for k, r in records.items()}


def read_corpus(name, options, data_folder, hparams, read_audio):
    """The manifest of a corpus.

    Raises
    ------
    ValueError
        If the corpus needs a folder and none is given.
    FileNotFoundError
        If the folder is not there.
    """
    plugin = f"corpus/{name}"
    data_folder = data_folder or getattr(find(plugin), "default_folder", None)
    if not data_folder:
        raise ValueError(f"corpus '{name}' needs its folder: give --data_folder (or --unlabelled_folder)")
    makes_its_folder = hasattr(find(plugin), "default_folder")
    if not makes_its_folder and not pathlib.Path(data_folder).exists():
        raise FileNotFoundError(f"no data folder '{data_folder}' for corpus '{name}'")
    corpus = make(plugin, **(options or {}))
    if notice := getattr(corpus, "notice", None):
        logger.warning(notice)
    return build_manifest(corpus, data_folder, read_audio, hparams["skip_bad_audio"])


def _test_speakers(asked):
    """None for "first", otherwise a list of speakers."""
    if asked == "first":
        return None
    return list(asked) if isinstance(asked, list | tuple) else [asked]
