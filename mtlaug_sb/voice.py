"""A parametric emotional voice: nonsense syllables from a source-filter model.

Glottal pulses and breath noise excite six formants, of which three move; noise bursts make the
consonants.  An emotion moves the delivery (pitch, range, rate, level, tilt, voice quality) by
amounts that vary with the speaker and the utterance, so that the classes overlap as in acted
speech.  Nothing here comes from a recording: the audio carries no licence and identifies nobody.
"""

from collections import namedtuple
from dataclasses import dataclass

import numpy as np
import scipy  # its parts are imported when they are first used

SAMPLE_RATE = 16000
EMOTIONS = ("anger", "happiness", "neutral", "sadness")
BLOCK = 160  # samples (10 ms) between the points of a control track

# First three formants in Hz of an average man, after Peterson and Barney (1952): a, e, i, o, u.
VOWELS = (
    (730, 1090, 2440), (530, 1840, 2480), (270, 2290, 3010), (570, 840, 2410), (300, 870, 2240),
)  # fmt: skip
UPPER_FORMANTS = (3400, 4400, 5500)  # Hz, the same for every sound
BANDWIDTHS = np.array([80, 100, 140, 220, 300, 400])  # Hz
# Per gender: median pitch in Hz, formants relative to the average man's, breath in dB.
GENDERS = {"female": (205.0, 1.16, -24.0), "male": (118.0, 1.0, -28.0)}

# Duration in s, gain of the voice, formants in Hz that the vowel departs from; then the noise: its
# start as a fraction of the duration, its level in dB relative to the vowels, its centre in Hz.
Consonant = namedtuple("Consonant", "duration voicing locus noise_start noise_level noise_centre")
CONSONANTS = (
    Consonant(0.09, 0.0, (300, 800, 2200), 0.75, -12, 900),  # p
    Consonant(0.09, 0.0, (300, 1750, 2650), 0.75, -8, 4200),  # t
    Consonant(0.09, 0.0, (300, 1950, 2350), 0.70, -9, 1900),  # k
    Consonant(0.11, 0.0, (350, 1700, 2600), 0.0, -11, 5800),  # s
    Consonant(0.11, 0.0, (350, 1850, 2500), 0.0, -10, 3000),  # sh
    Consonant(0.06, 0.25, (250, 1100, 2200), 0.0, -np.inf, 1000),  # m
    Consonant(0.06, 0.25, (250, 1600, 2500), 0.0, -np.inf, 1000),  # n
    Consonant(0.06, 0.45, (350, 1200, 2700), 0.0, -np.inf, 1000),  # l
)
# The start, the onset of the vowel and the end in s; the accent in semitones.
Syllable = namedtuple("Syllable", "consonant vowel start onset end accent")


@dataclass(frozen=True)
class Voice:
    """A speaker."""

    name: str
    gender: str  # "female" or "male"
    pitch: float  # median fundamental frequency, Hz
    formant_scale: float  # above 1 for a vocal tract shorter than the average man's
    rate: float  # factor on the speaking rate
    breathiness: float  # breath noise relative to the glottal pulses, dB
    level: float  # RMS of neutral vowels relative to full scale, dB
    expressiveness: float  # factor on what an emotion does to the delivery


# How an utterance departs from the speaker's neutral delivery; every field is additive.  Semitones:
# pitch, ending (a rise over the last syllable).  dB: level, breath.  Octaves of a factor: range (of
# pitch excursions), rate, tilt (of its corner frequency: up is brighter), roughness (of jitter and
# shimmer), formants (a smile or an open jaw raises them).
Delivery = namedtuple("Delivery", "pitch ending level breath range rate tilt roughness formants")
# Directions after Scherer (2003) and Juslin and Laukka (2003); sizes tuned so that classes overlap.
EFFECTS = {
    "anger": Delivery(5.0, -3.0, 9.0, -6.0, 0.7, 0.30, 1.4, 1.6, 0.03),
    "happiness": Delivery(6.0, 3.0, 6.5, -3.0, 1.0, 0.28, 0.7, 0.2, 0.07),
    "neutral": Delivery(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "sadness": Delivery(-3.0, -0.5, -6.5, 6.0, -0.9, -0.33, -1.2, 0.4, -0.03),
}
# Standard deviations of what varies between utterances of one speaker and emotion.
SPREAD = Delivery(1.0, 1.0, 1.5, 1.7, 0.21, 0.08, 0.3, 0.25, 0.02)


def draw_voice(name, gender, rng):
    """Draw a speaker of a gender ("female" or "male") from a NumPy generator."""
    # Uniform, not normal: one freak voice among eight speakers would decide a small corpus's score.
    pitch, formant_scale, breathiness = GENDERS[gender]
    return Voice(
        name,
        gender,
        pitch=pitch * 2 ** rng.uniform(-0.28, 0.28),
        formant_scale=formant_scale * 2 ** rng.uniform(-0.12, 0.12),
        rate=2 ** rng.uniform(-0.2, 0.2),
        breathiness=breathiness + rng.uniform(-5, 5),
        level=rng.uniform(-35, -29),
        expressiveness=rng.uniform(0.85, 1.25),
    )


def synthesise(voice, emotion, rng):
    """Synthesise one utterance of nonsense syllables.

    Parameters
    ----------
    voice : Voice
    emotion : str
        One of `EMOTIONS`.
    rng : numpy.random.Generator
        The only source of randomness: the same state gives the same samples.

    Returns
    -------
    numpy.ndarray, shape [time], float32
        About 1.2 to 2.5 s at `SAMPLE_RATE`, peak below 1.0.
    """
    delivery, syllables = plan(voice, emotion, rng)
    times = np.arange(0, syllables[-1].end + 0.1, BLOCK / SAMPLE_RATE)
    gain, formants = articulate(syllables, times)
    source = glottal_source(intonation(syllables, times, voice, delivery), voice, delivery, rng)
    gain = per_sample(gain)
    speech = vocal_tract(source * gain, formants * voice.formant_scale * 2**delivery.formants)
    speech /= rms(speech[gain > 0.5])
    add_bursts(speech, syllables, voice.formant_scale, rng)
    room = scipy.signal.lfilter([1], [1, -0.9], rng.normal(size=len(speech)))
    room *= decibels(rng.uniform(-70, -62)) / rms(room)
    audio = decibels(voice.level + delivery.level) * speech + room
    # Turning the rare overload down keeps its spectrum; clipping it would sound like anger.
    return (audio * min(1.0, 0.95 / np.abs(audio).max())).astype(np.float32)


def plan(voice, emotion, rng):
    """Draw how it is said and what, as `synthesise` does first: a Delivery and a list of Syllable."""
    delivery = express(voice, emotion, rng)
    return delivery, plan_syllables(voice.rate * 2**delivery.rate, rng)


def spell(syllables):
    """Write syllables down; a pause ends a word."""
    text, last = "", syllables[0]
    for s in syllables:
        text += " " if s.start > last.end else ""
        text += ["p", "t", "k", "s", "sh", "m", "n", "l"][CONSONANTS.index(s.consonant)] + "aeiou"[VOWELS.index(s.vowel)]
        last = s
    return text


def express(voice, emotion, rng):
    """Draw a delivery: the emotion, as strong as speaker and utterance have it, plus chance."""
    strength = voice.expressiveness * rng.uniform(0.6, 1.2)
    chance = np.array(SPREAD) * rng.normal(size=len(SPREAD))
    return Delivery(*(strength * np.array(EFFECTS[emotion]) + chance))


def plan_syllables(rate, rng):
    """Lay out syllables at a rate (1 is neutral), some followed by a pause."""
    syllables, time, finish = [], rng.uniform(0.05, 0.15), rng.uniform(1.25, 2.0)
    while time < finish:
        consonant = CONSONANTS[rng.integers(len(CONSONANTS))]
        vowel = VOWELS[rng.integers(len(VOWELS))]
        accent = rng.uniform(1, 5) if rng.random() < 0.4 else 0.0
        onset = time + consonant.duration / rate
        end = onset + rng.uniform(0.07, 0.16) * (1.3 if accent else 1.0) / rate
        syllables.append(Syllable(consonant, vowel, time, onset, end, accent))
        time = end + (rng.uniform(0.08, 0.2) / rate if rng.random() < 0.15 else 0.0)
    return syllables


def articulate(syllables, times):
    """Return the gain of the voice [block] and the average man's formants in Hz [block, 6]."""
    gain, points, targets = np.zeros(len(times)), [], []
    for s in syllables:
        gain[(times >= s.start) & (times < s.onset)] = s.consonant.voicing
        gain[(times >= s.onset) & (times < s.end)] = 0.8 + 0.06 * s.accent
        closed, held = s.onset - 0.6 * (s.onset - s.start), s.end - s.onset
        points += [closed, s.onset, s.onset + 0.4 * held, s.onset + 0.8 * held]
        passing = 0.5 * np.add(s.consonant.locus, s.vowel)
        targets += [(*f, *UPPER_FORMANTS) for f in (s.consonant.locus, passing, s.vowel, s.vowel)]
    formants = [np.interp(times, points, track) for track in np.transpose(targets)]
    return np.convolve(gain, [0.25, 0.5, 0.25], "same"), np.stack(formants, axis=1)


def intonation(syllables, times, voice, delivery):
    """Return the fundamental frequency in Hz [block]: declination, accents and the ending."""
    excursion, last = 3.0 * (0.5 - times / times[-1]), syllables[-1]
    for s in syllables:
        excursion += s.accent * np.exp(-(((times - 0.5 * (s.onset + s.end)) / 0.08) ** 2))
    ending = delivery.ending * np.clip((times - last.start) / (last.end - last.start), 0, 1)
    semitones = delivery.pitch + excursion * 2**delivery.range + ending
    return np.clip(voice.pitch * 2 ** (semitones / 12), 60, 600)


def glottal_source(pitch, voice, delivery, rng):
    """Return glottal pulses (jitter, shimmer, tilt) and breath [time] for a pitch in Hz [block]."""
    phase = np.cumsum(per_sample(pitch)) / SAMPLE_RATE
    times = np.interp(np.arange(1, int(phase[-1])), phase, np.arange(len(phase)))  # samples
    jitter, shimmer = 2**delivery.roughness * np.array([0.006, 0.06])
    times = times + jitter * np.gradient(times) * rng.normal(size=len(times))
    heights = 1 + shimmer * rng.normal(size=len(times))
    # A pulse between two samples is shared by both, or the pitch would snap to whole samples.
    left, share = np.divmod(np.clip(times, 0, len(phase) - 2), 1)
    pulses = np.bincount(left.astype(int), heights * (1 - share), len(phase))
    pulses += np.bincount(left.astype(int) + 1, heights * share, len(phase))
    corners = np.array([0.6 * voice.pitch, 0.6 * voice.pitch, 2400 * 2**delivery.tilt])  # Hz
    pulses = scipy.signal.lfilter([1, -1], np.poly(np.exp(-2 * np.pi * corners / SAMPLE_RATE)), pulses)
    breath = decibels(voice.breathiness + delivery.breath) * rng.normal(size=len(phase))
    return pulses / rms(pulses) + breath


def vocal_tract(source, formants):
    """Filter a source [time] by a cascade of resonators at formants in Hz [block, 6]."""
    # One multiplies polynomials by multiplying their transforms: six resonators, one filter.
    spectra = np.fft.rfft(resonator(formants, BANDWIDTHS), 16)
    cascade = np.fft.irfft(spectra.prod(axis=1), 16)[:, : 2 * len(BANDWIDTHS) + 1]
    output, state = np.empty_like(source), np.zeros(2 * len(BANDWIDTHS))
    for block, denominator in enumerate(cascade):
        here = slice(block * BLOCK, (block + 1) * BLOCK)
        output[here], state = scipy.signal.lfilter([denominator.sum()], denominator, source[here], zi=state)
    return output


def resonator(centre, bandwidth):
    """Return the denominators [..., 3] of two-pole filters; centres [...] and bandwidths in Hz."""
    radius = np.exp(-np.pi * bandwidth / SAMPLE_RATE) + np.zeros(np.shape(centre))
    cosine = np.cos(2 * np.pi * np.asarray(centre) / SAMPLE_RATE)
    return np.stack([np.ones_like(radius), -2 * radius * cosine, radius**2], axis=-1)


def add_bursts(speech, syllables, formant_scale, rng):
    """Add, in place, the noise of stops and fricatives to speech [time] whose vowels have RMS 1."""
    for consonant, _, start, onset, *_ in syllables:
        start += consonant.noise_start * (onset - start)
        here = slice(int(start * SAMPLE_RATE), int(onset * SAMPLE_RATE))
        centre = min(consonant.noise_centre * formant_scale, 7000.0)
        noise = rng.normal(size=here.stop - here.start)
        noise = scipy.signal.lfilter([1], resonator(centre, 0.4 * centre), noise) * np.hanning(len(noise)) ** 0.5
        speech[here] += decibels(consonant.noise_level) * noise / rms(noise)


def per_sample(track):
    """Interpolate a control track [block] to the sample rate [time]."""
    return np.interp(np.arange(len(track) * BLOCK) / BLOCK, np.arange(len(track)), track)


def decibels(level):
    """Return the amplitude factor of a level in dB."""
    return 10 ** (level / 20)


def rms(signal):
    """Return the root mean square."""
    return np.sqrt(np.mean(signal**2))
