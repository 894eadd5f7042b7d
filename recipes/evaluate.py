#!/usr/bin/env python3
"""Test what is trained in noise, in rooms, under attack, on another corpus: python recipes/evaluate.py RESULT --noise=FOLDER

RESULT is the folder of a run (train.py) or of a grid (crossvalidate.py, crosscorpus.py, svm_baseline.py); every cell of a
grid is tested on its own test speakers. Nothing is trained. Every system hears the very same noise: it depends on --seed and
on the recording alone. What is on disk is not computed again, so a killed call goes on where it stopped.

  --noise=FOLDER        noise: DEMAND, or a folder per environment
  --babble=CORPORA      other speakers talking: {NAME: FOLDER}, such as "{librispeech: /corpora/LibriSpeech}"
  --talkers=N           how many at once (default 6)
  --snr_db=LIST         over the whole utterance (default 20,10,0)
  --rooms=FOLDER        room impulse responses: a folder per kind of room
  --attack=LIST         of fgsm, pgd; needs pip install -e ".[attacks]"
  --on=LIST             of features, waveform (default both)
  --strengths=LIST      on features: share of their standard deviation (default 0.01,0.02,0.05,0.1,0.2)
  --attack_snr_db=LIST  on the waveform (default 60,50,40,30,20)
  --steps=N             of pgd (default 10)
  --transfer_from=RESULT  the attacks are made on that result's cells and tried on these
  --corpus=CORPORA      test on this corpus, as a whole, instead: {NAME: FOLDER}, or {NAME: {corpus: READER, folder: FOLDER,
                        map: {emotion: {calm: neutral}}}}; refused where the system was trained on one of its speakers
  --target_statistics   features and the network's batch normalisations take mean and deviation of the test utterances,
                        unlabelled, without noise or attack, in place of the training data's: adaptation (AdaBN)
  --self_training       that, and the discriminant analysis (head/discriminant_fusion) is solved again for the test
                        utterances and what it takes them to be
  --by_speaker          with one of these: statistics of each test speaker apart, who has to be known and to speak in all
                        the classes (who does nothing but shout shouts on average); of n utterances they count n / (n + 8),
                        the training data's the rest. Not with --attack, whose budget they would change
  --enrolment=N         with --by_speaker: N utterances of each speaker, drawn by --seed, give the statistics, and are not
                        tested; without any adaptation: these are not tested either, to compare with
  --speeds=LIST         answers are means over each test utterance as it is and at these speeds, in percent, such as 90,110.
                        Not with --attack
  --skip_bad_audio      leave out what cannot be read of it, and say so; otherwise the first bad file ends the call
  --seeds=LIST          these repeats only
  --seed=N              of noise, babble, rooms and enrolment (default 0)
  --output_folder=DIR   default: RESULT/robustness, with corpus, adaptation, enrolment and speeds where asked for
  --device=NAME --batch_size=N --plugins=FILES --feature_folder=DIR
                        cpu; 16; Python files that a model needs; where functionals are kept (data/functionals)
"""

import functools
import hashlib
import json
import sys

from evaluate_options import folder_name, read_options, settings_of_answers

from mtlaug_sb.dataio.audio import AudioReader
from mtlaug_sb.dataio.preparation import read_corpus
from mtlaug_sb.evaluation.results import read_predictions
from mtlaug_sb.inference.adaptation import RELEVANCE
from mtlaug_sb.registry import make
from mtlaug_sb.robustness.another_corpus import check_unseen, identify, labelled
from mtlaug_sb.robustness.attacks import Attack
from mtlaug_sb.robustness.cells import find_cells, read_utterances
from mtlaug_sb.robustness.runner import run_conditions, to_markdown
from mtlaug_sb.robustness.speaker_by_speaker import SpeakerBySpeaker, by_speaker, draw_enrolment
from mtlaug_sb.robustness.surroundings import Babble, Clean, Noise, Room, read_environments
from mtlaug_sb.robustness.systems import FunctionalsSVM, TrainedNetwork

CACHE_MB = 1000
TOLERANCE = 2e-3  # of a probability: other batches, and six decimals


def main(arguments):
    """Test, write and print. Returns the rows of robustness.json."""
    if not arguments or {"-h", "--help"} & set(arguments):
        print(__doc__)
        return None
    own = read_options(arguments)
    cells = [cell for cell in find_cells(own.result) if own.seeds is None or cell.seed in own.seeds]
    if not cells:
        raise ValueError(f"--seeds: '{own.result}' has no such repeat")
    read_audio = AudioReader(sample_rate_of(cells[0]), CACHE_MB)
    conditions = [Clean(), *surroundings(own, read_audio), *attacks(own, read_audio)]
    target = (
        read_corpus("joined", {"corpora": own.corpus}, None, {"skip_bad_audio": own.skip_bad_audio}, read_audio)
        if own.corpus
        else None
    )
    if target is not None:
        target = labelled(target, cells[0], own.corpus)
        for cell in cells:
            check_unseen(cell, target)
        for condition in conditions:
            condition.settings = {**condition.settings, "test_set": identify(target, cells[0].class_label)}
    for condition in conditions:
        condition.settings = {**condition.settings, **settings_of_answers(own)}
    if own.by_speaker:
        conditions = [SpeakerBySpeaker(condition) for condition in conditions]

    def enrolled_and_tested(cell):
        records = cell.records() if target is None else target
        utterances = read_utterances(records, cell.class_label, cell.results["classes"], read_audio)
        return draw_enrolment(utterances, own.enrolment, own.seed) if own.enrolment else (utterances, utterances)

    def utterances_of(cell):
        return enrolled_and_tested(cell)[1]

    def system_of(cell):
        system = load_system(cell, own, read_audio)
        if own.adaptation:
            heard = enrolled_and_tested(cell)[0]
            groups = by_speaker(heard) if own.by_speaker else {"all": heard}
            wavs_of = {whose: [u.wav for u in group] for whose, group in groups.items()}
            system.adapt_to(wavs_of, own.self_training, RELEVANCE if own.by_speaker else 0)
        return system

    # on a whole corpus each cell gives a repeat of its own
    repeat_of = None if target is None else lambda cell: f"{cell.seed}_{cell.fold}"
    folder = own.output_folder or own.result / folder_name(own)
    rows = run_conditions(conditions, cells, system_of, utterances_of, folder, repeat_of)
    if target is None and not own.adaptation and not own.speeds:
        check_clean(cells, folder / "clean")
    print(to_markdown(rows, {condition.name for condition in conditions}))
    return rows


def surroundings(own, read_audio):
    """The conditions of noise, babble and rooms that are asked for."""
    if own.noise:
        for name, recordings in read_environments(own.noise, read_audio).items():
            yield Noise(name, recordings, own.snr_db, own.seed)
    if own.babble:
        found = make("corpus/joined", corpora=own.babble).read(".")
        records = [{"recording": u.id, "path": u.path, "speaker": known(u), "corpus": u.labels["corpus"]} for u in found]
        yield Babble(records, read_audio, own.snr_db, own.seed, own.talkers)
    if own.rooms:
        for name, responses in read_environments(own.rooms, AudioReader(read_audio.sample_rate, centred=False)).items():
            yield Room(name, responses, own.seed)


def attacks(own, read_audio):
    """The attacks that are asked for."""
    source = made_of = None
    if own.transfer_from:
        others = find_cells(own.transfer_from)
        made_of = hashlib.sha1("".join(other.fingerprint() for other in others).encode()).hexdigest()[:16]
        loaded = functools.lru_cache(maxsize=1)(lambda k: load_system(others[k], own, read_audio))

        def source(cell):
            tested = cell.results["speakers"]["test"]
            same = [k for k, other in enumerate(others) if other.results["speakers"]["test"] == tested]
            if not same:
                raise ValueError(f"'{own.transfer_from}' has no cell that was tested on {', '.join(tested)}")
            return loaded(next((k for k in same if others[k].seed == cell.seed), same[0]))

    for method in own.attack:
        for on in own.on:
            levels = own.attack_snr_db if on == "waveform" else own.strengths
            made_on = own.transfer_from and own.transfer_from.absolute().parts
            name = made_on and (made_on[-3] if made_on[-1] in ("crossvalidation", "crosscorpus") else made_on[-1])
            yield Attack(method, on, levels, own.steps, source, name, made_of)


def load_system(cell, own, read_audio):
    """What a cell's training left."""
    if (cell.folder / "model").is_dir():
        return TrainedNetwork(cell.folder, own.device, own.batch_size, own.plugins, own.speeds)
    if "feature_set" in cell.results:
        if own.speeds:
            raise ValueError(f"'{cell.folder}' is an SVM: --speeds is for networks")
        return FunctionalsSVM(cell.folder, read_audio, own.feature_folder)
    raise FileNotFoundError(f"'{cell.folder}' has no model/ and is no SVM: there is nothing to test")


def sample_rate_of(cell):
    """Hz, of what a cell was trained on."""
    description = cell.folder / "model" / "model.json"
    if description.is_file():
        return json.loads(description.read_text(encoding="utf-8"))["sample_rate"]
    return cell.results.get("sample_rate", 16000)


def known(utterance):
    """Its speaker; None where the corpus does not know any, of which corpus/joined makes one."""
    return None if utterance.speaker == f"{utterance.labels['corpus']}/unknown" else utterance.speaker


def check_clean(cells, folder):
    """Say so if the systems do not answer as they did when they were trained."""
    said = {(c.seed, r["id"]): r for c in cells for r in read_predictions([c.folder / "predictions.csv"])}
    for path in sorted(folder.glob("seed_*/*/predictions.csv")):
        for row in read_predictions([path]):
            before = said.get((path.parent.parent.name.removeprefix("seed_"), row["id"]))
            if before and any(abs(float(row[k]) - float(before[k])) > TOLERANCE for k in row if k.startswith("p_")):
                print(f"warning: {path} answers {row['id']} otherwise than the run's own predictions.csv", file=sys.stderr)
                return


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (ValueError, OSError, ModuleNotFoundError) as error:
        sys.exit(f"error: {error}")
