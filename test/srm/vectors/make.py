"""Looks and what they come to, by a second implementation straight from the method.

    venv/bin/pip install scipy==1.17.1
    venv/bin/python test/srm/vectors/make.py > test/srm/vectors/looks.json
"""

import json
import sys

import numpy as np
from scipy.special import gammaln, logsumexp, xlogy

KS = [10, 100, 1000, 10_000, 100_000]
TILTS = [sign * size for size in [0.02, 0.04, 0.08, 0.16, 0.4, 1, 2.5] for sign in (1, -1)]
rng = np.random.default_rng(6)


def ln_dm(counts, shares):
    keep = shares > 0
    s, theta = counts[keep], shares[keep]
    n = s.sum()
    each = [gammaln(k * theta + s).sum() - gammaln(k * theta).sum() - gammaln(k + n) + gammaln(k) - xlogy(s, theta).sum() for k in KS]
    return logsumexp(each) - np.log(len(KS))


def ln_tilt(counts, shares, arm, delta):
    if shares[arm] == 0:
        return 0.0
    weights = shares * np.where(np.arange(len(shares)) == arm, np.exp(delta), 1)
    q = weights / weights.sum()
    keep = shares > 0
    return float((counts[keep] * np.log(q[keep] / shares[keep])).sum())


def run(looks, alpha):
    shares, now, last = {}, {}, {}
    arms = len(looks[0]["counts"])
    hypotheses = [(arm, delta) for arm in range(arms) for delta in TILTS]
    a = {h: 0.0 for h in hypotheses}
    cusum = {h: 0.0 for h in hypotheses}
    reset = {h: 0 for h in hypotheses}
    steps, last_units, e_onset, best, alarm_n, onset_n = 0, 0, 1.0, 0.0, None, None
    before, by_leak = 0, False
    for look in looks:
        v = look.get("allocation_version", 1)
        shares[v], now[v] = np.array(look["shares"]), np.array(look["counts"], dtype=float)
        units = sum(c.sum() for c in now.values())
        tested = [h for h in hypotheses if any(s[h[0]] > 0 for s in shares.values())]
        product = sum(ln_dm(now[v], shares[v]) for v in now)
        tilts = [sum(ln_tilt(now[v], shares[v], *h) for v in now) for h in tested]
        cumulative = logsumexp([product, logsumexp(tilts) - np.log(len(tested))]) - np.log(2)
        if units - last_units >= max(1000, 0.005 * last_units):
            steps += 1
            for h in hypotheses:
                ln_l = sum(ln_tilt(now[v] - last.get(v, 0), shares[v], *h) for v in now)
                a[h] = (a[h] + 1 / (steps * (steps + 1))) * np.exp(ln_l)
                cusum[h] = max(0.0, cusum[h] + ln_l)
                if cusum[h] == 0:
                    reset[h] = units
            e_onset = np.mean([a[h] + 1 / (steps + 1) for h in tested])
            last, last_units = {v: c.copy() for v, c in now.items()}, units
        log_e = logsumexp([cumulative, np.log(e_onset)]) - np.log(2)
        best = max(best, log_e)
        leak = any((c[s == 0] > 0).any() for c, s in zip(now.values(), shares.values()))
        if alarm_n is None and log_e >= -np.log(alpha):
            alarm_n = int(units)
        elif alarm_n is None and leak:
            alarm_n, onset_n, by_leak = int(units), int(before), True
        before = units
        if alarm_n is not None and not by_leak:
            winner = max(tested, key=lambda h: a[h])
            if onset_n is None or reset[winner] < alarm_n:
                onset_n = int(reset[winner])
    return {
        "looks": len(looks), "units": int(units), "log_e": float(log_e), "p_value": float(min(1, np.exp(-best))), "alarm": alarm_n is not None,
        "alarm_n": alarm_n, "onset_n": onset_n, "log_e_cumulative": float(cumulative), "log_e_onset": float(np.log(e_onset)),
    }


def stretch(counts, truth, sizes):
    """Cumulative counts after each look."""
    out = []
    for size in sizes:
        counts = counts + rng.multinomial(size, truth)
        out.append([int(c) for c in counts])
    return out


def cases():
    def looks(version, shares, rows):
        return [{"experiment_id": "x", "allocation_version": version, "shares": shares, "counts": row} for row in rows]

    half = [0.5, 0.5]
    yield "healthy", looks(1, half, stretch(np.zeros(2, int), half, [137] * 150))
    yield "broken from the start", looks(1, half, stretch(np.zeros(2, int), [0.52, 0.48], [411] * 60))
    clean = stretch(np.zeros(2, int), half, [997] * 60)
    yield "broken later", looks(1, half, clean + stretch(np.array(clean[-1]), [0.55, 0.45], [501] * 30))
    three = [0.34, 0.33, 0.33]
    yield "three arms", looks(1, three, stretch(np.zeros(3, int), [0.36, 0.32, 0.32], [333] * 80))
    ramp = looks(1, [0.9, 0.1], stretch(np.zeros(2, int), [0.9, 0.1], [700] * 30))
    ramp += looks(2, half, stretch(np.zeros(2, int), half, [700] * 30))
    yield "healthy ramp", ramp
    mixed = looks(1, [0.8, 0.2], stretch(np.zeros(2, int), [0.78, 0.22], [350] * 40))
    mixed += looks(2, half, stretch(np.zeros(2, int), [0.47, 0.53], [350] * 40))
    yield "one tilt over a ramp", [look for pair in zip(mixed[:40], mixed[40:]) for look in pair]
    leak = stretch(np.zeros(3, int), [0.5, 0.5, 0], [300] * 10)
    yield "leak", looks(1, [0.5, 0.5, 0], leak + [[c + (2 if i == 2 else 100) for i, c in enumerate(leak[-1])]])
    yield "an arm that comes later", looks(1, [0.5, 0.5, 0], leak) + looks(2, three, stretch(np.zeros(3, int), [0.4, 0.3, 0.3], [300] * 20))


out = []
for name, looks in cases():
    for alpha in (0.001, 0.05):
        out.append({"name": name, "alpha": alpha, "looks": looks, "expected": run(looks, alpha)})
print(json.dumps(out, separators=(",", ":")))
