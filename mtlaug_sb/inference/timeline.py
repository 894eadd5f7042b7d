"""A recording of any length, read block by block through a stream."""

from tqdm import tqdm

from mtlaug_sb.inference.sound_file import open_sound, read_blocks


def stream_file(stream, path, progress=False):
    """A generator of the segments of a file; ``stream`` takes samples at the model's rate.

    Raises
    ------
    AudioError
        At once if the file cannot be opened; on the way if it cannot be read on.
    """
    with open_sound(path) as file:
        seconds = file.frames / file.samplerate
    return _segments(stream, path, seconds, progress)


def _segments(stream, path, seconds, progress):
    with tqdm(total=round(seconds), unit="s", disable=not progress, delay=0.5) as bar:
        for samples in read_blocks(path, stream.rate):
            for segment in stream.push(samples):
                bar.update(max(0, int(segment.end_s) - bar.n))
                yield segment
        yield from stream.finish()
