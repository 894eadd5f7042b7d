"""From changed features back to something that can be heard."""

import torch

LOWEST, HIGHEST = -6.9, 4.6  # of a gain's natural logarithm: -60 and 40 dB


def resynthesise(wav, goal, log_mel):
    """Speech whose log-mel spectrogram is, as nearly as filtering makes it, the one wanted.

    Every point of the short-time spectrum is amplified by what its mel bands lack, and keeps its phase: what is not
    changed sounds as it was, which Griffin and Lim's method (1984) would not give.

    Arguments
    ---------
    wav : torch.Tensor
        Samples [time] to begin with. Of a mixture: the mixed samples.
    goal : torch.Tensor
        Log-mel spectrogram that is wanted, [frames, mels].
    log_mel : LogMel
        The front end that it is of.

    Returns
    -------
    torch.Tensor
        Samples [time].

    Raises
    ------
    ValueError
        If the goal has another number of frames than the samples.
    """
    features, _ = log_mel(wav.unsqueeze(0), torch.ones(1))
    if features[0].shape != goal.shape:
        raise ValueError(f"{len(wav)} samples have features {list(features[0].shape)}, the goal has {list(goal.shape)}")
    bands = log_mel.bands[::2]  # [frequencies, mels]; the rows of real and imaginary parts are the same
    total = bands.sum(1)
    heard = (total > 0).nonzero().squeeze(1)
    # between two bands the mean of what they lack; beyond the outermost ones what these lack
    weights = bands[heard] / total[heard].unsqueeze(1)
    nearest = (torch.arange(len(bands)).unsqueeze(1) - heard).abs().argmin(1)
    gain = ((goal - features[0]) @ weights.T).clamp(2 * LOWEST, 2 * HIGHEST)[:, nearest] / 2  # of power; of amplitude
    window = torch.hann_window(log_mel.window)
    frames = {"n_fft": log_mel.n_fft, "hop_length": log_mel.hop, "win_length": log_mel.window, "window": window}
    spectrum = torch.stft(wav, **frames, center=True, pad_mode="constant", return_complex=True)
    return torch.istft(spectrum * gain.exp().T, **frames, center=True, length=len(wav))
