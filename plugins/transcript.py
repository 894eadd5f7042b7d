"""What is said, as a task on speech without emotion labels: CTC (Graves et al. 2006) over SentencePiece pieces."""

import json
import logging
import pathlib

import sentencepiece
import torch
from speechbrain.tokenizers.SentencePiece import SentencePiece
from torch import nn
from torchaudio.functional import edit_distance

from mtlaug_sb import register
from mtlaug_sb.masking import absolute_lengths, valid_mask

logger = logging.getLogger(__name__)
BLANK = 0  # the number of SentencePiece's unknown piece, which no text of the training data needs


@register("target", "pieces")
class Pieces:
    """A transcript as numbers of SentencePiece pieces, learned from the training transcripts by SpeechBrain's tokenizer.

    Arguments
    ---------
    folder : str
        Where the pieces' model is kept; it is learned once for a run.
    label : str
        Key in the manifest.
    vocab_size : int
        Pieces at most, blank included; fewer where the transcripts do not hold so many.
    max_pieces : int
        A longer transcript counts as missing.
    """

    mixable = False  # half of one text and half of another is none

    def __init__(self, folder, label="transcript", vocab_size=100, max_pieces=200):
        self.folder = pathlib.Path(folder)
        self.label = label
        self.vocab_size = vocab_size
        self.size = max_pieces
        self.pieces = None

    @staticmethod
    def example():
        """Arguments for the contract's check."""
        import tempfile

        return {"folder": tempfile.mkdtemp(), "vocab_size": 12, "max_pieces": 30}

    @staticmethod
    def example_records():
        """Records for the contract's check."""
        return [{"transcript": text} for text in ("la mu la si", "si la mu", "mu si si la")]

    def learn(self, records):
        """Learn the pieces of all transcripts.

        Raises
        ------
        ValueError
            If there is no transcript, or SentencePiece cannot make pieces of them.
        """
        texts = [r[self.label] for r in records if r.get(self.label)]
        if not texts:
            raise ValueError(f"target '{self.label}': no training utterance has it")
        self.folder.mkdir(parents=True, exist_ok=True)
        table = self.folder / f"{self.label}.json"
        table.write_text(json.dumps({str(i): {self.label: text} for i, text in enumerate(texts)}), encoding="utf-8")
        sentencepiece.set_min_log_level(2)  # it tells every step of its training
        try:
            self.pieces = SentencePiece(
                str(self.folder), self.vocab_size, str(table), self.label, "bpe", annotation_format="json"
            ).sp
        except (RuntimeError, OSError) as error:
            raise ValueError(
                f"target '{self.label}': SentencePiece made no {self.vocab_size} pieces of {len(texts)} transcripts; try "
                f"another vocab_size ({error})"
            ) from None
        too_long = sum(len(self.pieces.encode(text)) > self.size for text in texts)
        if too_long:
            logger.warning("%d transcripts have more than %d pieces and count as missing", too_long, self.size)

    def __call__(self, record):
        """Numbers of pieces [max_pieces], NaN after the last; all NaN where there is no transcript."""
        row = torch.full((self.size,), torch.nan)
        pieces = self.pieces.encode(record[self.label]) if record.get(self.label) else []
        if len(pieces) <= self.size:
            row[: len(pieces)] = torch.tensor(pieces, dtype=row.dtype)
        return row

    def decode(self, pieces):
        """The text of a list of numbers."""
        return self.pieces.decode(pieces)


@register("head", "ctc")
class CTCHead(nn.Module):
    """A score of every piece at every frame.

    Arguments
    ---------
    input_size : int
        Dimensions of the encoder's frames.
    n_classes : int
        Pieces, blank included.
    """

    def __init__(self, input_size, n_classes):
        super().__init__()
        self.output = nn.Linear(input_size, n_classes)

    def forward(self, frames, lengths):
        """``pieces`` [batch, frames, n_classes]; padding is blank."""
        scores = self.output(frames)
        silent = torch.full_like(scores, -1e4)
        silent[..., BLANK] = 0.0
        return {"pieces": torch.where(valid_mask(lengths, frames.shape[1]).unsqueeze(2), scores, silent)}


@register("loss", "ctc")
class CTCLoss(nn.Module):
    """Connectionist temporal classification, per piece of the transcript (Graves et al. 2006, equation 8).

    A transcript that needs more frames than there are costs nothing: no path spells it.
    """

    reads = "pieces"

    @staticmethod
    def example_data():
        """Predictions and targets for the contract's check."""
        nan = torch.nan
        scores = torch.randn(4, 12, 5, generator=torch.Generator().manual_seed(0))
        return scores, torch.tensor([[1, 2, 3], [2, 2, nan], [4, nan, nan], [3, 1, nan]])

    def forward(self, predictions, targets, lengths):
        """predictions [batch, frames, pieces], targets [batch, max_pieces], NaN after the last -> [batch]."""
        if not len(targets):
            return predictions.flatten(1).sum(1)
        counts = (~targets.isnan()).sum(1)
        pieces = torch.nan_to_num(targets, nan=0.0).long()
        if pieces.max() >= predictions.shape[2]:
            raise ValueError(
                f"the targets have piece {int(pieces.max())}, and the head has room for {predictions.shape[2]}: give the "
                "head the n_classes that the target has as vocab_size"
            )
        frames = absolute_lengths(lengths, predictions.shape[1])
        values = nn.functional.ctc_loss(
            predictions.log_softmax(2).transpose(0, 1),
            pieces,
            frames,
            counts,
            blank=BLANK,
            reduction="none",
            zero_infinity=True,
        )
        return values / counts


@register("metric", "error_rate")
class ErrorRate:
    """Of greedy decoding: edits a piece (``PER``) and, with the target at hand to spell them, a word (``WER``).

    Arguments
    ---------
    target : Pieces or None
        The task's target.
    """

    reads = "pieces"

    def __init__(self, target=None):
        self.target = target
        self.reset()

    @staticmethod
    def example_data():
        """Predictions and targets for the contract's check."""
        return CTCLoss.example_data()

    def reset(self):
        """Forget everything."""
        self.counts = torch.zeros(4)  # edits and length, in pieces and in words

    def update(self, predictions, targets):
        """predictions [batch, frames, pieces], targets [batch, max_pieces]."""
        for scores, target in zip(predictions.argmax(2).tolist(), targets.tolist(), strict=True):
            said = [int(piece) for piece in target if piece == piece]
            heard = [piece for piece, last in zip(scores, [BLANK, *scores], strict=False) if piece not in (last, BLANK)]
            self.counts[:2] += torch.tensor([float(edit_distance(said, heard)), len(said)])
            if self.target is not None:
                said, heard = (self.target.decode(pieces).split() for pieces in (said, heard))
                self.counts[2:] += torch.tensor([float(edit_distance(said, heard)), len(said)])

    def compute(self):
        """``PER`` and ``WER``, as far as there was anything to count."""
        edits, pieces, word_edits, words = self.counts.tolist()
        rates = {"PER": edits / pieces} if pieces else {}
        return rates | ({"WER": word_edits / words} if words else {})
