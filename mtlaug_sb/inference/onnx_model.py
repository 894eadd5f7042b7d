"""An exported ONNX model in use, where neither torch nor SpeechBrain is installed: NumPy, soundfile, onnxruntime."""

import json
import pathlib

import numpy as np

from mtlaug_sb.inference.sound_file import read_sound

MAX_BYTES = 1_900_000_000  # of a file without external data, the format allows two gigabytes
_EXTERNAL = b"\x0a\x08location"  # a tensor's key that names another file to read


class OnnxModel:
    """Probabilities from an ONNX file of recipes/export.py.

    Arguments
    ---------
    source : str or bytes
        File, or its content.
    threads : int
        Of onnxruntime.

    Raises
    ------
    ValueError
        If it is not such a file, or leads to other files.

    Example
    -------
    >>> model = OnnxModel("my_model/model.onnx")  # doctest: +SKIP
    >>> model.classify_file("a.wav")  # doctest: +SKIP
    {'anger': 0.91, 'happiness': 0.07, 'neutral': 0.01, 'sadness': 0.01}
    """

    def __init__(self, source, threads=1):
        import onnxruntime

        data = source if isinstance(source, bytes) else _read(source)
        name = "the ONNX model" if isinstance(source, bytes) else f"'{source}'"
        if _EXTERNAL in data:
            raise ValueError(f"{name} wants to read other files, which an export never does")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        try:
            self.session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
            metadata = self.session.get_modelmeta().custom_metadata_map
            self.labels = [str(label) for label in json.loads(metadata["labels"])]
            self.sample_rate = int(metadata["sample_rate"])
            inputs = [i.name for i in self.session.get_inputs()]
        except Exception as error:
            raise ValueError(f"{name} is no ONNX file of an export ({' '.join(str(error).split())[:200]})") from None
        if inputs != ["wavs", "lengths"]:
            raise ValueError(f"{name} has the inputs {inputs}, not wavs and lengths")

    def __call__(self, wavs, lengths=None):
        """Probabilities float32 [batch, classes] of wavs [batch, time] and relative lengths [batch] (None: all ones)."""
        wavs = np.asarray(wavs, np.float32)
        lengths = np.ones(len(wavs), np.float32) if lengths is None else np.asarray(lengths, np.float32)
        return self.session.run(["probabilities"], {"wavs": wavs, "lengths": lengths})[0]

    def classify_file(self, path, max_duration_s=600.0):
        """{class: probability} of a file; raises AudioError as ``EmotionRecognizer.classify_file``."""
        wav = read_sound(path, self.sample_rate, max_duration_s)
        return dict(zip(self.labels, self(wav[None])[0].tolist(), strict=True))


def _read(path):
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no ONNX file '{path}'")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"'{path}' has {path.stat().st_size / 1e9:.1f} GB: an export is smaller")
    return path.read_bytes()
