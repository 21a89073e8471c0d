"""Tables of simulated annotation: F1 by the tokens, sentences and minutes of annotation.

F1 between two rounds of a chain is interpolated linearly. Intervals are 95 % intervals over the seeds by
Student's t; differences are paired by seed. A cell is empty where fewer than two seeds reach the amount.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from tagger.evaluation.significance import estimate, estimate_difference

AMOUNTS = {
    "tokens": (1_000, 2_000, 4_000, 8_000, 16_000),
    "sentences": (50, 100, 200, 350, 700),
    "minutes": (5, 10, 20, 40, 80, 160),
}
SHARE = 0.9  # of the F1 of full training that is to be reached
CONTRASTS = [
    ("uncertainty", "random"),
    ("mnlp", "random"),
    ("longest", "random"),
    ("partial", "uncertainty"),
    ("uncertainty from en", "random from en"),
    ("random from en", "random"),
    ("uncertainty from en", "uncertainty"),
]
"""Pairs of a variant and the one that it is compared with."""

Summary = dict[str, Any]
Chain = list[Mapping[str, Any]]  # the rounds of a variant and seed, in order


def summarise(rounds: Sequence[Mapping[str, Any]]) -> Summary:
    """Compute the curves of all variants, their differences, and the sentences that reach ``SHARE``.

    Args:
        rounds: The rounds of one corpus. Those of the variant ``full`` have all sentences.

    Returns:
        ``rounds`` without the labelled sentences; ``full``, the F1 of full training; ``units``, for each unit
        of ``AMOUNTS`` the F1 by variant and amount (``f1``) and the differences of ``CONTRASTS`` (``gains``),
        each the values of an ``Estimate``; and ``reached``, the number of sentences with which each seed of a
        variant reaches the share, None if it does not.
    """
    chains: dict[str, dict[int, Chain]] = {}
    for one in rounds:
        values = {
            "minutes": one["seconds"] / 60,
            **{key: value for key, value in one.items() if key not in ("next", "options")},
        }
        chains.setdefault(one["variant"], {}).setdefault(one["seed"], []).append(values)
    for by_seed in chains.values():
        for chain in by_seed.values():
            chain.sort(key=lambda one: one["sentences"])
    full = {seed: chain[-1]["f1"] for seed, chain in chains.pop("full", {}).items()}
    units = {
        unit: {
            "f1": {
                name: {str(amount): _estimates(by_seed, unit, amount) for amount in amounts}
                for name, by_seed in chains.items()
            },
            "gains": {
                f"{name} - {base}": {
                    str(amount): _differences(chains[name], chains[base], unit, amount) for amount in amounts
                }
                for name, base in CONTRASTS
                if {name, base} <= chains.keys()
            },
        }
        for unit, amounts in AMOUNTS.items()
    }
    reached = {
        name: {
            str(seed): find_crossing(chain, SHARE * full[seed])
            for seed, chain in by_seed.items()
            if seed in full
        }
        for name, by_seed in chains.items()
    }
    flat = [one for by_seed in chains.values() for chain in by_seed.values() for one in chain]
    return {
        "full": asdict(estimate(list(full.values()))) if full else None,
        "units": units,
        "reached": reached,
        "rounds": flat,
    }


def interpolate(chain: Chain, unit: str, amount: float) -> float | None:
    """Return the F1 of a chain at an amount of annotation; None outside its rounds."""
    amounts = [one[unit] for one in chain]
    if not amounts[0] <= amount <= amounts[-1]:
        return None
    return float(np.interp(amount, amounts, [one["f1"] for one in chain]))


def find_crossing(chain: Chain, f1: float) -> float | None:
    """Return the first interpolated number of sentences with this F1; None if no round reaches it."""
    before = None
    for one in chain:
        if one["f1"] >= f1:
            if before is None:
                return float(one["sentences"])
            share = (f1 - before["f1"]) / (one["f1"] - before["f1"])
            return float(before["sentences"] + share * (one["sentences"] - before["sentences"]))
        before = one
    return None


def _estimates(by_seed: Mapping[int, Chain], unit: str, amount: float) -> Summary | None:
    values = [interpolate(chain, unit, amount) for chain in by_seed.values()]
    known = [value for value in values if value is not None]
    return asdict(estimate(known)) if known else None


def _differences(
    chains: Mapping[int, Chain], bases: Mapping[int, Chain], unit: str, amount: float
) -> Summary | None:
    pairs = [
        (interpolate(bases[seed], unit, amount), interpolate(chains[seed], unit, amount))
        for seed in sorted(chains.keys() & bases.keys())
    ]
    known = [(base, other) for base, other in pairs if base is not None and other is not None]
    if not known:
        return None
    base, other = zip(*known, strict=True)
    return asdict(estimate_difference(base, other))


def tables(summary: Summary) -> str:
    """Format a summary as Markdown: for each unit F1 in percent and the differences, then the crossings."""
    lines = []
    for unit, values in summary["units"].items():
        amounts = [f"{amount:,}" for amount in AMOUNTS[unit]]
        lines += _table(f"F1 by {unit}", amounts, values["f1"], _f1_cell)
        if values["gains"]:
            lines += _table(f"difference by {unit}", amounts, values["gains"], _gain_cell)
    full = summary["full"]
    if full:
        lines.append(f"Full training: F1 {_f1_cell(full)}. Sentences that reach {SHARE:.0%} of it:")
        lines += ["", "| variant | sentences |", "|---|---:|"]
        for name, by_seed in summary["reached"].items():
            known = [value for value in by_seed.values() if value is not None]
            mean = f"{np.mean(known):,.0f}" if known else "–"
            lines.append(f"| {name} | {mean} ({len(known)} of {len(by_seed)} seeds) |")
    return "\n".join(lines)


def _table(
    title: str,
    amounts: Sequence[str],
    rows: Mapping[str, Mapping[str, Summary | None]],
    cell: Callable[[Summary], str],
) -> list[str]:
    lines = [f"| {title} | " + " | ".join(amounts) + " |", "|---" + "|---:" * len(amounts) + "|"]
    for name, values in rows.items():
        cells = [cell(one) if one else "" for one in values.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def _f1_cell(one: Summary) -> str:
    spread = "" if one["low"] is None else f" ± {100 * (one['high'] - one['mean']):.1f}"
    return f"{100 * one['mean']:.1f}{spread} ({len(one['values'])})"


def _gain_cell(one: Summary) -> str:
    interval = "" if one["low"] is None else f" [{100 * one['low']:+.1f}, {100 * one['high']:+.1f}]"
    return f"{100 * one['mean']:+.1f}{interval}"
