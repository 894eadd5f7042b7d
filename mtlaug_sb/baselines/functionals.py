"""openSMILE's functionals of utterances (Eyben et al. 2010), kept per recording."""

import io
import pathlib

import numpy as np

from mtlaug_sb.atomic import write_atomically

FEATURE_SETS = ("ComParE_2016", "eGeMAPSv02")  # 6373 and 88 per utterance


class Functionals:
    """One vector per utterance, computed once and kept as a file under the recording's own name.

    Arguments
    ---------
    feature_set : str
        "ComParE_2016" (Schuller et al. 2016) or "eGeMAPSv02" (Eyben et al. 2016).
    folder : str
        Where the files are kept.

    Raises
    ------
    ValueError
        If the feature set is another.
    ModuleNotFoundError
        If the package opensmile is not installed.
    """

    def __init__(self, feature_set, folder):
        if feature_set not in FEATURE_SETS:
            raise ValueError(f"feature_set must be one of {', '.join(FEATURE_SETS)}, is '{feature_set}'")
        try:
            import opensmile
        except ModuleNotFoundError:
            raise ModuleNotFoundError("openSMILE is not installed: pip install -e '.[baselines]'") from None
        self.smile = opensmile.Smile(opensmile.FeatureSet[feature_set], opensmile.FeatureLevel.Functionals)
        self.folder = pathlib.Path(folder) / feature_set
        self.folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, recording, wav, sample_rate):
        """Functionals, float64 [features].

        Arguments
        ---------
        recording : str
            Identifies the samples.
        wav : callable
            Gives the samples, float32 [time]; called where the features are not kept yet.
        sample_rate : int
            Hz.
        """
        path = self.folder / f"{recording}_{sample_rate}.npy"
        if not path.exists():
            content = io.BytesIO()
            np.save(content, self.compute(np.asarray(wav()), sample_rate))
            write_atomically(path, content.getvalue())
        return np.load(path)

    def compute(self, samples, sample_rate):
        """Functionals of samples, float32 [time], that are not kept."""
        values = self.smile.process_signal(samples, sample_rate).to_numpy(float)[0]
        # openSMILE leaves a functional of nothing (the pitch of a voiceless utterance) undefined
        return np.nan_to_num(values, posinf=0.0, neginf=0.0)
