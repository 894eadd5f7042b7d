#!/usr/bin/env python3
"""See and hear what augmentations do to speech: python recipes/show_augmentations.py FILE [-o FOLDER] [--key=value ...]

Draws the waveform and the mel-spectrogram of FILE under each augmentation of a YAML side by side, with what was drawn, and
writes the audio; features that were masked or mixed are made audible by filtering. sheet.html has it all on one page, which
needs no network. Needs pip install -e ".[report]".

  -o, --output=FOLDER  for sheet.html, sheet.png and a .wav per augmentation (default augmentations)
  --hparams=YAML       whose augmentations (default hparams/mtl_aug.yaml)
  --partner=FILE       another utterance, for effects that mix (default: another file of the folder, or FILE backwards)
  --draws=N            of each augmentation (default 1)
  --seed=N             of the draws (default 0)

All other keys are those of the YAML, such as --augmentation.effects.specaugment.time_share=0.4.
"""

import argparse
import io
import pathlib
import sys
import tempfile

import soundfile
import torch
from hyperpyyaml import load_hyperpyyaml
from report import write_page
from report_sections import part, section, uri

from mtlaug_sb.dataio.audio import AudioError, AudioReader
from mtlaug_sb.evaluation.augmentation_sheet import augment, figure_of_sheet
from mtlaug_sb.experiment import read_experiment
from mtlaug_sb.options import parse_own, read_arguments
from mtlaug_sb.registry import make


def main(arguments):
    """Augment, draw and write. Returns {title: Augmented}."""
    if not arguments or {"-h", "--help"} & set(arguments):
        print(__doc__)
        return None
    parser = argparse.ArgumentParser(allow_abbrev=False, exit_on_error=False)
    parser.add_argument("file", type=pathlib.Path)
    parser.add_argument("-o", "--output", type=pathlib.Path, default=pathlib.Path("augmentations"))
    parser.add_argument("--hparams", default="hparams/mtl_aug.yaml")
    parser.add_argument("--partner", type=pathlib.Path)
    parser.add_argument("--draws", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    own, rest = parse_own(parser, arguments)
    if own.draws < 1:
        raise ValueError(f"--draws must be at least 1, is {own.draws}")
    _, _, overrides = read_arguments([own.hparams, *rest])
    with tempfile.TemporaryDirectory() as folder:  # an experiment makes its folder when it is read
        hparams = load_hyperpyyaml(read_experiment(own.hparams), {**overrides, "output_folder": folder})
    if hparams["augmentation"] is None:
        raise ValueError(f"'{own.hparams}' has no augmentation")
    rate, front_end = hparams["sample_rate"], hparams["modules"]["features"]
    read_audio = AudioReader(rate)
    wav = read_audio(str(own.file))
    partner = read_audio(str(own.partner)) if own.partner else neighbour(own.file, read_audio)
    partner = wav.flip(0) if partner is None else partner
    generator = torch.Generator().manual_seed(own.seed)
    examples = {"none": augment(None, front_end, wav, partner, generator, rate)}
    with torch.no_grad():
        for name, effect in hparams["augmentation"].effects.items():
            for k in range(own.draws):
                title = name if own.draws == 1 else f"{name} {k + 1}"
                examples[title] = augment(effect, front_end, wav, partner, generator, rate)
    write(examples, own, rate)
    return examples


def neighbour(file, read_audio):
    """The next audio file of the folder that can be read, in order of name; None where there is none."""
    paths = [u.path for u in make("corpus/folder").read(file.parent)]
    others = [path for path in paths if pathlib.Path(path).parent == file.parent and pathlib.Path(path).name != file.name]
    after = [path for path in others if pathlib.Path(path).name > file.name]
    for path in (*after, *others):
        try:
            return read_audio(path)
        except AudioError:  # nobody asked for it
            continue
    return None


def write(examples, own, rate):
    """The audio, the picture and the page."""
    own.output.mkdir(parents=True, exist_ok=True)
    picture = io.BytesIO()
    figure_of_sheet(examples, rate).savefig(picture, format="png", dpi=110)
    (own.output / "sheet.png").write_bytes(picture.getvalue())
    parts = [part(image=uri(picture.getvalue(), "image/png"), alt=f"{own.file.name} under each augmentation")]
    for title, example in examples.items():
        # as loud as it is, but never clipped
        samples = example.wav / max(1.0, float(example.wav.abs().max()))
        content = io.BytesIO()
        soundfile.write(content, samples.numpy(), rate, "PCM_16", format="WAV")
        (own.output / f"{title.replace(' ', '_')}.wav").write_bytes(content.getvalue())
        how = "; made audible by filtering" if example.resynthesised else ""
        parts.append(part(title, f"{example.done}{how}", audio=uri(content.getvalue(), "audio/wav")))
        print(f"{title}: {example.done}")
    note = "What was drawn is measured on the result. Grey is beyond the utterance's end."
    page = own.output / "sheet.html"
    write_page(page, f"Augmentations of {own.file.name}", [section("sheet", "Seen and heard", note, parts)])
    print(f"Pictures, sound and {page} are in {own.output}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (ValueError, TypeError, OSError, ModuleNotFoundError) as error:
        said = error.args[-1] if error.args else error
        sys.exit(f"error: {' '.join(str(said).split())}")
