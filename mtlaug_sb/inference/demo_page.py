"""A local page to try a model on: what it hears, where it listens, and what augmentations do to its answer."""

import os

import torch

from mtlaug_sb.inference.augmentation_effect import apply_augmentation
from mtlaug_sb.inference.demo_pictures import picture_of_augmentations, picture_of_recording
from mtlaug_sb.inference.sound_file import AudioError, read_sound

MAX_SECONDS = 60
MAX_FILE_SIZE = "20mb"
USERS = 4  # answered at once
WAITING = 32

NOTE = (
    "The model guesses what acted speech sounds like. It does not know what anybody feels, and must not be used to judge "
    "people. Recordings stay on this computer."
)
ONE_SPEAKER = " Its answers go by what is usual for one speaker: they are for nobody else."


def examine(model, path, max_seconds=MAX_SECONDS):
    """Everything that the page shows about a file.

    Returns
    -------
    probabilities : dict
        Class -> probability.
    recording, augmentations : matplotlib.figure.Figure

    Raises
    ------
    AudioError
        If the file cannot be used.
    """
    samples = read_sound(path, model.sample_rate, max_seconds)
    wav = torch.from_numpy(samples)
    effects = {"as it is": apply_augmentation(model, wav)}
    effects |= {name: apply_augmentation(model, wav, name) for name in model.description["augmentations"]}
    try:
        starts, weights = model.attention(wav)
        attention = starts.tolist(), weights.tolist()
    except ValueError:  # a head without attention
        attention = None
    # short recordings get more than one segment, too
    window = min(model.settings["window_s"], max(0.5, len(samples) / model.sample_rate / 2))
    stream = model.stream(window_s=window, hop_s=max(0.1, window / 4))
    segments = [*stream.push(samples), *stream.finish()]
    recording = picture_of_recording(
        samples, model.sample_rate, effects["as it is"].features.numpy(), model.labels, segments, attention
    )
    return effects["as it is"].probabilities, recording, picture_of_augmentations(effects, model.labels)


def make_page(model, max_seconds=MAX_SECONDS, one_speaker=False):
    """The page as a ``gradio.Blocks``; with ``one_speaker`` it says that the model was adapted to one.

    Raises
    ------
    ImportError
        If gradio is not installed; names the extra.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before gradio looks
    try:
        import gradio
    except ImportError as error:
        raise ImportError(f"the page needs the extra 'demo': pip install 'mtlaug_sb[demo]' ({error})") from None

    def answer(path):
        if path is None:
            return None, None, None
        try:
            return examine(model, path, max_seconds)
        except AudioError as error:
            # without the folder of the server
            raise gradio.Error(str(error).removeprefix(os.path.dirname(path) + os.sep), print_exception=False) from None

    with gradio.Blocks(title="mtlaug_sb", analytics_enabled=False) as page:
        gradio.Markdown("# Emotion of speech\n" + NOTE + (ONE_SPEAKER if one_speaker else ""))
        with gradio.Row():
            with gradio.Column():
                audio = gradio.Audio(
                    sources=["upload", "microphone"],
                    type="filepath",
                    label=f"Speech, at most {max_seconds:g} s",
                    elem_id="speech",
                    buttons=["download"],  # no sharing, which would upload
                )
            with gradio.Column():
                label = gradio.Label(label="Emotion", elem_id="emotion")
        gradio.Markdown("### Timeline, features and attention")
        recording = gradio.Plot(show_label=False, elem_id="recording")
        gradio.Markdown("### What each augmentation does to the input and to the answer")
        augmentations = gradio.Plot(show_label=False, elem_id="augmentations")
        audio.change(
            answer,
            audio,
            [label, recording, augmentations],
            concurrency_limit=USERS,
            api_name="answer",
            show_progress="full",
        )
    return page.queue(max_size=WAITING, default_concurrency_limit=USERS)


def serve(model, port=7860, max_seconds=MAX_SECONDS, one_speaker=False, block=True):
    """Serve the page on this computer alone; returns its address when ``block`` is False."""
    page = make_page(model, max_seconds, one_speaker)
    import gradio

    # fonts of the system: others would be fetched from outside
    theme = gradio.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"])
    _, address, _ = page.launch(
        server_name="127.0.0.1",
        server_port=port,
        share=False,
        inbrowser=False,
        theme=theme,
        max_file_size=MAX_FILE_SIZE,
        footer_links=[],
        quiet=True,
        prevent_thread_lock=True,
    )
    print(f"Serving on {address} (stop with Ctrl+C)", flush=True)
    if block:
        page.block_thread()
    return address
