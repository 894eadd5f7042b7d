"""A pretrained speech encoder of Hugging Face: wav2vec 2.0, HuBERT, WavLM."""

import functools
import tempfile

import torch
from torch import nn

from mtlaug_sb.front_end_layers import layer_mean
from mtlaug_sb.masking import absolute_lengths, valid_mask, zero_padding
from mtlaug_sb.registry import register

KNOWN = ("wav2vec2", "hubert", "wavlm")


@register("encoder", "huggingface")
class HuggingFace(nn.Module):
    """All layers of a pretrained model of waveforms, and on top their mean with learned weights.

    wav2vec 2.0 (Baevski et al. 2020), HuBERT (Hsu et al. 2021) and WavLM (Chen et al. 2022); the weights of the layers are a
    softmax, equal at first, as in SUPERB (Yang et al. 2021). Needs ``pip install 'mtlaug_sb[huggingface]'``. The models at
    hand were made for 16 kHz. Frames come every 20 ms; an utterance too short for one is taken to be followed by silence.

    Padding is not seen: attention is masked, each utterance is normalised over its own samples, and the group normalisation
    of the "base" models, which in Hugging Face's code averages over the padding, is taken over valid frames. The model's own
    masking and layer drop are off: the augmentation policy says what is masked.

    SpeechBrain's wrappers of the same models (``speechbrain.integrations.huggingface``) are not used, as they let padding
    in: ``Wav2Vec2`` normalises each row with it, ``WeightedSSLModel`` has no mask at all.

    Arguments
    ---------
    source : str
        A local folder, which needs no network, or a model's name on the hub, such as "microsoft/wavlm-base-plus".
    freeze : bool
        Train the weights of the layers alone; the model stays in evaluation, without dropout. False fine-tunes all of it,
        which wants a small learning rate.
    normalize : bool or None
        Mean 0 and variance 1 for each utterance's samples; None does as the model's ``preprocessor_config.json`` says, and
        leaves them as they are where there is none.

    Raises
    ------
    ImportError
        If the package ``transformers`` is not there.
    OSError
        If ``source`` cannot be read.
    ValueError
        If it is another kind of model; in ``forward`` if the features are no waveforms.

    Example
    -------
    >>> encoder = HuggingFace(**HuggingFace.example())  # a model of two tiny layers, with random weights
    >>> layers = encoder(torch.rand(2, 100, 1), torch.tensor([1.0, 0.5]))
    >>> [tuple(frames.shape) for frames, lengths in layers]  # before the first layer, after each, and their mean
    [(2, 24, 8), (2, 24, 8), (2, 24, 8), (2, 24, 8)]
    """

    input_size = 1

    def __init__(self, source, freeze=True, normalize=None):
        super().__init__()
        try:
            import transformers
        except ImportError:
            raise ImportError(
                "encoder/huggingface needs the package 'transformers': pip install 'mtlaug_sb[huggingface]'"
            ) from None
        try:
            config = transformers.AutoConfig.from_pretrained(source)
            if config.model_type not in KNOWN:
                raise ValueError(f"'{source}' is a model of type '{config.model_type}'; known: {', '.join(KNOWN)}")
            # what would change or drop frames and layers in training, by chance that no generator of ours draws
            for name, value in {"apply_spec_augment": False, "layerdrop": 0.0, "add_adapter": False}.items():
                if hasattr(config, name):
                    setattr(config, name, value)
            self.model = transformers.AutoModel.from_pretrained(source, config=config, dtype=torch.float32)
            if normalize is None:
                normalize = _preprocessor_normalizes(source)
        except OSError as error:
            reason = str(error).strip().partition("\n")[0]
            raise OSError(
                f"encoder/huggingface: '{source}' is no model's folder, and no model of the hub: {reason}"
            ) from error
        self.normalize = normalize
        self.strides = list(zip(config.conv_kernel, config.conv_stride, strict=True))
        self.least = 1  # samples that make one frame
        for kernel, stride in reversed(self.strides):
            self.least = (self.least - 1) * stride + kernel
        self.output_size = config.hidden_size
        self.layer_weights = nn.Parameter(torch.zeros(config.num_hidden_layers + 1))
        self.frozen = freeze
        for name, parameter in self.model.named_parameters():
            # that of the model's own masking is never used: distributed training would wait for its gradient
            parameter.requires_grad_(not freeze and name != "masked_spec_embed")
        self.norms = _replace_group_norms(self.model.feature_extractor)
        self.train(self.training)

    @staticmethod
    @functools.cache
    def _example_folder():
        from transformers import Wav2Vec2Config, Wav2Vec2Model

        folder = tempfile.TemporaryDirectory()
        sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8}
        convolutions = {"conv_dim": [8, 8], "conv_kernel": [4, 3], "conv_stride": [2, 2], "num_feat_extract_layers": 2}
        config = Wav2Vec2Config(**sizes, **convolutions, num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2)
        Wav2Vec2Model(config).save_pretrained(folder.name)
        return folder  # goes with its last reference

    @staticmethod
    def example():
        """Arguments for the contract's checks."""
        return {"source": HuggingFace._example_folder().name, "normalize": True}

    def train(self, mode=True):
        """As any module; a frozen model stays in evaluation."""
        super().train(mode)
        if self.frozen:
            self.model.eval()
        return self

    def forward(self, features, lengths):
        """Of every layer, and of their weighted mean: frames [batch, frames, output_size], padding zero, and lengths."""
        if features.shape[2] != 1:
            raise ValueError(
                f"encoder/huggingface reads [batch, time, 1], as features/waveform gives; got {tuple(features.shape)}"
            )
        samples = absolute_lengths(lengths, features.shape[1])
        wavs = zero_padding(features, lengths).squeeze(2)
        if self.normalize:
            wavs = _normalized(wavs, samples)
        wavs = nn.functional.pad(wavs, (0, max(self.least - wavs.shape[1], 0)))
        samples = samples.clamp(min=self.least)
        steps = samples
        for i, (kernel, stride) in enumerate(self.strides):
            steps = (steps - kernel) // stride + 1
            if i in self.norms:
                self.model.feature_extractor.conv_layers[i].layer_norm.steps = steps
        heard = valid_mask(samples / wavs.shape[1], wavs.shape[1])
        layers = self.model(wavs, attention_mask=heard.long(), output_hidden_states=True).hidden_states
        lengths = steps / layers[0].shape[1]
        layers = [zero_padding(layer, lengths) for layer in layers]
        return [(layer, lengths) for layer in [*layers, layer_mean(layers, self.layer_weights)]]


class _ValidGroupNorm(nn.GroupNorm):
    """Normalisation of every channel over an utterance's own frames."""

    def forward(self, x):
        """x and result [batch, channels, frames]; ``steps`` [batch] are valid."""
        valid = (torch.arange(x.shape[2], device=x.device) < self.steps.unsqueeze(1)).unsqueeze(1)
        count = self.steps.view(-1, 1, 1)
        values = torch.where(valid, x.float(), 0.0)  # 16 bits do not hold the sum
        centred = torch.where(valid, values - values.sum(2, keepdim=True) / count, 0.0)
        variance = centred.square().sum(2, keepdim=True) / count
        normalised = centred * (variance + self.eps).rsqrt()
        return (normalised * self.weight.unsqueeze(1) + self.bias.unsqueeze(1)).to(x.dtype)


def _replace_group_norms(feature_extractor):
    """Let group normalisations see valid frames only; returns the numbers of their layers."""
    replaced = []
    for i, layer in enumerate(feature_extractor.conv_layers):
        old = getattr(layer, "layer_norm", None)
        if isinstance(old, nn.GroupNorm):
            layer.layer_norm = _ValidGroupNorm(old.num_groups, old.num_channels, old.eps)
            layer.layer_norm.load_state_dict(old.state_dict())
            layer.layer_norm.requires_grad_(old.weight.requires_grad)
            replaced.append(i)
    return replaced


def _normalized(wavs, samples):
    """Each row of wavs [batch, time], padding zero, with mean 0 and variance 1 over its own samples [batch]."""
    count = samples.unsqueeze(1)
    valid = torch.arange(wavs.shape[1], device=wavs.device) < count
    centred = torch.where(valid, wavs - wavs.sum(1, keepdim=True) / count, 0.0)
    # the constant is that of Hugging Face's feature extractor
    return centred * (centred.square().sum(1, keepdim=True) / count + 1e-7).rsqrt()


def _preprocessor_normalizes(source):
    """Whether the model's own preprocessor normalises each utterance."""
    import transformers

    try:
        return transformers.AutoFeatureExtractor.from_pretrained(source).do_normalize
    except OSError:
        return False
