"""Where a system puts utterances, in two dimensions."""

import numpy as np

from mtlaug_sb.robustness.cells import read_utterances

SPLITS = ("test", "valid", "train")
MOST = 600  # utterances: the picture is full, and the time grows with their square


def embed(cell, system, read_audio, most=MOST, seed=0):
    """Embeddings of a cell's test speakers and, up to a bound, of those that it was trained on.

    Arguments
    ---------
    cell : Cell
        Of the system.
    system : TrainedNetwork
        Gives the embeddings.
    read_audio : AudioReader
        Path to samples.
    most : int
        Utterances, at most; they are drawn, half of them from the test speakers where there are as many.
    seed : int
        Of the draw.

    Returns
    -------
    embeddings : array
        [utterances, dim].
    tested : array of bool
        [utterances].
    records : list of dict
        Of the manifests, with ``class``.

    Raises
    ------
    ValueError
        If the cell has no manifests.
    """
    generator = np.random.default_rng(seed)
    records = {}
    for split in SPLITS:
        if (cell.folder / "save" / f"{split}.json").is_file():
            for utterance, record in cell.records(split).items():
                records[utterance] = {**record, "tested": split == "test"}
    ids = {kind: [k for k, r in records.items() if r["tested"] is kind] for kind in (True, False)}
    kept = _draw(ids[True], max(most // 2, most - len(ids[False])), generator)
    kept += _draw(ids[False], most - len(kept), generator)
    some = {k: records[k] for k in kept}
    utterances = read_utterances(some, cell.class_label, cell.results["classes"], read_audio)
    if not utterances:
        raise ValueError(f"'{cell.folder}' does not say what it was tested on: it has no manifests")
    embeddings = system.embeddings([u.wav for u in utterances]).float().numpy()
    tested = np.array([u.record["tested"] for u in utterances])
    return embeddings, tested, [{**u.record, "class": u.truth} for u in utterances]


def in_two_dimensions(embeddings, method="tsne", seed=0):
    """[utterances, 2], of [utterances, dim], by t-SNE (van der Maaten and Hinton 2008) or principal components ("pca").

    Needs scikit-learn.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    if method == "pca" or len(embeddings) < 5:
        return PCA(2, random_state=seed).fit_transform(embeddings)
    perplexity = min(30.0, (len(embeddings) - 1) / 3)
    return TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(embeddings)


def _draw(ids, n, generator):
    return ids if len(ids) <= n else [ids[k] for k in sorted(generator.choice(len(ids), n, replace=False))]
