"""What the numbers say, in plain sentences that claim no more than they carry."""

from __future__ import annotations

from statistics import fmean

from earshot.report.numbers import score, signed
from earshot.report.pairs import Pair, difference, ranked, same_model, within_chance


def answer(pairs: list[Pair], largest_class: float) -> list[str]:
    """Return the headline answer for one dataset, a paragraph per finding.

    Parameters
    ----------
    pairs
        The experiments of one dataset.
    largest_class
        Share of the tested windows that the largest class has: the accuracy of always naming it.
    """
    grouped, published = ranked(pairs, "grouped"), ranked(pairs, "published")
    findings = [
        best(grouped, "grouped") or best(published, "published"),
        inflation([pair for pair in pairs if pair.inflation() is not None]),
        other_winner(published, grouped),
        spectrogram_against_waveform(grouped),
        no_better_than_one_class(grouped, largest_class),
    ]
    return [finding for finding in findings if finding]


def best(order: list[Pair], protocol: str) -> str:
    """Say which experiment scores highest under `protocol`, and which are too close to it to call."""
    if not order:
        return ""
    first, *others = order
    condition = "Tested without leak (grouped)" if protocol == "grouped" else "As published (not leak-free)"
    found = f"{condition}, {first.title} scores highest, with an accuracy of {_accuracy(first, protocol)}."
    close = [pair for pair in others if within_chance(first.scores[protocol], pair.scores[protocol])]
    if close:
        return f"{found} Too close to it to call: {_listed(close, protocol)}."
    return f"{found} Next comes {_listed(others[:1], protocol)}." if others else found


def inflation(pairs: list[Pair]) -> str:
    """Say how much more the published protocol reports than the grouped one, over all experiments."""
    if not pairs:
        return ""
    order = sorted(pairs, key=lambda pair: pair.inflation())
    low, mean, high = order[0], fmean(pair.inflation() for pair in pairs), order[-1]
    direction = "higher" if mean >= 0 else "lower"
    found = (
        f"As published, the same experiments score {score(abs(mean))} {direction} on average: "
        f"from {signed(low.inflation())} ({low.title}) to {signed(high.inflation())} ({high.title})."
    )
    small = sum(pair.inflation_within_chance for pair in pairs)
    return f"{found} For {small} of the {len(pairs)} the difference is within chance." if small else found


def other_winner(published: list[Pair], grouped: list[Pair]) -> str:
    """Say so where the published protocol would have named another winner."""
    if not published or not grouped or published[0] is grouped[0]:
        return ""
    first = published[0]
    return f"As published, {first.title} would have come first, with {_accuracy(first, 'published')}."


def spectrogram_against_waveform(pairs: list[Pair]) -> str:
    """Say for each model what the log spectrogram changes against the waveform, grouped."""
    changes = [
        f"{waveform.title.removeprefix('waveform-')} {_change(spectrogram, waveform)}"
        for waveform, spectrogram in same_model(pairs)
        if spectrogram.input == "log_spectrogram"
    ]
    if not changes:
        return ""
    return f"Log spectrogram instead of waveform, same model, grouped: {', '.join(changes)}."


def no_better_than_one_class(grouped: list[Pair], largest_class: float) -> str:
    """Name the experiments that can't be told from always naming the largest class."""
    guessing = [pair for pair in grouped if not _beats(pair.scores["grouped"], largest_class)]
    if not guessing:
        return ""
    names = _listed(guessing, "grouped")
    return f"Not surely better than always naming the largest class ({score(largest_class)}): {names}."


def _beats(scores: dict, accuracy: float) -> bool:
    return scores["accuracy"] > accuracy and not within_chance(scores, {**scores, "accuracy": accuracy})


def _change(spectrogram: Pair, waveform: Pair) -> str:
    new, old = spectrogram.scores["grouped"], waveform.scores["grouped"]
    change = signed(difference(new["accuracy"], old["accuracy"]))
    return f"{change} (within chance)" if within_chance(new, old) else change


def _listed(pairs: list[Pair], protocol: str) -> str:
    return ", ".join(f"{pair.title} ({_accuracy(pair, protocol)})" for pair in pairs)


def _accuracy(pair: Pair, protocol: str) -> str:
    return score(pair.score("accuracy", protocol))
