"""32 bits that are 32 bits."""

import torch


def in_full_precision():
    """Have a GPU multiply numbers of 32 bits as they are, not rounded to 19 (TF32), which SpeechBrain allows when imported.

    A model would answer otherwise than on a CPU, and an augmentation that multiplies could be told by its rounding. Where
    fewer bits are welcome, mixed precision says so.
    """
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
