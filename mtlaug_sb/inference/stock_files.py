"""What may lie beside a model: the files of an export. Anything that SpeechBrain would run or unpickle is refused."""

from mtlaug_sb.inference.description import ModelError

HYPERPARAMS = """\
# For speechbrain.inference.classifiers.EncoderClassifier.from_hparams, where mtlaug_sb is installed.
# The same text for every model; mtlaug_sb itself reads model.json and model.safetensors instead.
model: !new:mtlaug_sb.inference.stock_speechbrain.Model
modules:
    compute_features: !new:torch.nn.Identity
    mean_var_norm: !new:mtlaug_sb.inference.stock_speechbrain.FrontEnd {model: !ref <model>}
    embedding_model: !new:mtlaug_sb.inference.stock_speechbrain.Embedding {model: !ref <model>}
    classifier: !new:mtlaug_sb.inference.stock_speechbrain.Classifier {model: !ref <model>}
audio_normalizer: !new:mtlaug_sb.inference.stock_speechbrain.AudioNormalizer {model: !ref <model>}
label_encoder: !new:speechbrain.dataio.encoder.CategoricalEncoder
pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables: {model: !ref <model>, label_encoder: !ref <label_encoder>}
"""
_PICKLES = (".ckpt", ".pt", ".pth", ".bin", ".pkl", ".pickle", ".joblib", ".npy", ".npz")
_NOT_PICKLED = {"model.ckpt", "label_encoder.ckpt"}


def check_neighbours(folder):
    """Refuse a folder in which a file beside the model would run code in other programs.

    Neither hyperparams.yaml nor any pickled file is ever read here. A folder that holds a foreign one was not written by an
    export, and whoever hands it on may mean harm: so it is not used at all.

    Raises
    ------
    ModelError
        Names the file.
    """
    for path in sorted(folder.iterdir()):
        if path.name == "hyperparams.yaml":
            if _head(path, 2 * len(HYPERPARAMS)).replace(b"\r\n", b"\n") != HYPERPARAMS.encode():
                raise ModelError(
                    f"'{path}' is not what an export writes, and may run code in SpeechBrain: this folder is not used"
                )
        elif path.suffix.lower() in _PICKLES:
            head = _head(path, 9)
            # safetensors: eight bytes of length and a brace; the label encoder: text that begins with a quote
            if path.name not in _NOT_PICKLED or not (head[8:] == b"{" or head[:1] in (b"'", b'"')):
                raise ModelError(f"'{path.name}' in '{folder}' may be pickled, as no file of an export is: not used")


def _head(path, size):
    """The first bytes of a plain file; nothing of what would have to be waited for."""
    if not path.is_file():
        return b""
    with open(path, "rb") as file:
        return file.read(size)
