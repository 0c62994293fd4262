"""Vectors for src/stats by an independent implementation.

    python3 -m venv venv && venv/bin/pip install scipy==1.17.1 mpmath==1.4.1
    venv/bin/python test/stats/vectors/make.py > test/stats/vectors/scipy.json

Straight from the definitions: scipy's distributions, and mpmath with 60 digits where a double would cancel.
"""

import json
import sys

import mpmath as mp
import numpy as np
from scipy import optimize, special, stats

mp.mp.dps = 60
KS = [10, 100, 1000, 10_000, 100_000]
SIZES = [0.02, 0.04, 0.08, 0.16, 0.4, 1, 2.5]
TILTS = [sign * size for size in SIZES for sign in (1, -1)]
rng = np.random.default_rng(20261126)


def ln_dirichlet_multinomial(counts, shares, k):
    """ln e with exact shares of the doubles given, normalised."""
    total = mp.fsum(mp.mpf(s) for s in shares)
    n = mp.fsum(mp.mpf(c) for c, s in zip(counts, shares) if s > 0)
    value = mp.loggamma(k) - mp.loggamma(k + n)
    for c, s in zip(counts, shares):
        if s > 0:
            theta = mp.mpf(s) / total
            value += mp.loggamma(k * theta + c) - mp.loggamma(k * theta) - c * mp.log(theta)
    return value


def ln_mixture(counts, shares):
    return mp.log(mp.fsum(mp.exp(ln_dirichlet_multinomial(counts, shares, k)) for k in KS) / len(KS))


def splits():
    yield [0, 0], [0.5, 0.5]
    yield [1, 0], [0.5, 0.5]
    yield [3, 7], [0.1, 0.9]
    yield [821588, 815482], [0.5, 0.5]
    yield [9007199254740991, 9007199254740991], [0.5, 0.5]
    yield [9007199254740991, 9007199254000000], [0.5, 0.5]
    yield [9007199254740992, 0], [0.5, 0.5]
    yield [10**15, 10**15 + 2 * 10**8, 10**15 - 10**8], [1 / 3, 1 / 3, 1 / 3]
    yield [1, 999_999], [1e-6, 1 - 1e-6]
    yield [0, 5, 10], [1e-12, 0.4, 0.6 - 1e-12]
    yield [7, 0, 5], [0.5, 0, 0.5]
    yield [42], [1]
    for _ in range(40):
        arms = int(rng.integers(2, 7))
        shares = rng.dirichlet(np.ones(arms) * 3)
        n = int(10 ** rng.uniform(0, 9))
        tilted = shares * np.exp(rng.normal(0, rng.choice([0, 0.002, 0.02, 0.3]), arms))
        yield [int(x) for x in rng.multinomial(n, tilted / tilted.sum())], [float(x) for x in shares]


def scipy_check(counts, shares, k, value):
    """The mpmath formula against scipy's own distributions, where those hold."""
    pairs = [(c, s) for c, s in zip(counts, shares) if s > 0]
    c = np.array([p[0] for p in pairs])
    s = np.array([p[1] for p in pairs])
    s = s / s.sum()
    if len(c) < 2 or c.sum() > 1e6 or c.sum() == 0:
        return
    other = stats.dirichlet_multinomial.logpmf(c, k * s, c.sum()) - stats.multinomial.logpmf(c, c.sum(), s)
    assert abs(other - float(value)) < 1e-6 * max(1, abs(float(value))), (counts, shares, k, other, value)


def confidence(counts, shares, alpha):
    """By numerical maximisation over the other arms, not by the closed form."""
    s = np.array(shares)
    c = np.array(counts, dtype=float)
    bound = np.log(alpha) + float(ln_mixture(counts, shares)) + float(np.sum(special.xlogy(c, s)))

    def profile(arm, x):
        others = np.delete(c, arm)
        if len(others) == 1:
            best = special.xlogy(others[0], 1 - x)
        else:
            result = optimize.minimize_scalar(
                lambda y: -(special.xlogy(others[0], y * (1 - x)) + special.xlogy(others[1], (1 - y) * (1 - x))),
                bounds=(1e-9, 1 - 1e-9), method="bounded", options={"xatol": 1e-12},
            )
            best = -result.fun
        return special.xlogy(c[arm], x) + best - bound

    out = []
    for arm in range(len(c)):
        p = c[arm] / c.sum()
        low = optimize.brentq(lambda x: profile(arm, x), 1e-12, p, xtol=1e-13) if p > 0 else 0.0
        high = optimize.brentq(lambda x: profile(arm, x), p, 1 - 1e-12, xtol=1e-13) if p < 1 else 1.0
        out.append([low, high])
    return out


def onset(increments):
    """ln E by the definition: a sum over the step the deviation began at, and what is kept for later ones."""
    out = []
    for t in range(1, len(increments) + 1):
        begun = mp.fsum(mp.mpf(1) / (s * (s + 1)) * mp.exp(mp.fsum(mp.mpf(x) for x in increments[s - 1:t])) for s in range(1, t + 1))
        out.append(float(mp.log(begun + mp.mpf(1) / (t + 1))))
    return out


def log_rank(exposed, waiting):
    m, total = sum(exposed), sum(waiting)
    out = []
    for x, y in zip(exposed, waiting):
        out.append([
            float(stats.nchypergeom_fisher.logpmf(x, total, y, m, np.exp(t)) - stats.hypergeom.logpmf(x, total, y, m)) for t in TILTS
        ])
    return out


def log_rank_exact(exposed, waiting):
    """The same ratio with integers, where scipy is slow or inexact."""
    m, total = sum(exposed), sum(waiting)
    out = []
    for x, y in zip(exposed, waiting):
        row = []
        for t in TILTS:
            support = range(max(0, m - (total - y)), min(m, y) + 1)
            weights = [mp.mpf(int(special.comb(y, j, exact=True)) * int(special.comb(total - y, m - j, exact=True))) for j in support]
            moment = mp.fsum(w * mp.exp(mp.mpf(t) * j) for w, j in zip(weights, support)) / mp.fsum(weights)
            row.append(float(mp.mpf(t) * x - mp.log(moment)))
        out.append(row)
    return out


def main():
    vectors = {"made_with": {"scipy": __import__("scipy").__version__, "mpmath": mp.__version__}}
    xs = [1e-12, 1e-3, 0.1, 0.5, 1, 1.5, 2, 3.7, 10, 15.99, 16, 17, 100, 12345.6, 1e6, 1e9, 1e15]
    vectors["ln_gamma"] = [[x, float(mp.loggamma(x))] for x in xs]
    vectors["stirling_rest"] = [
        [x, float(mp.loggamma(x) - ((mp.mpf(x) - 0.5) * mp.log(x) - x + mp.log(2 * mp.pi) / 2))] for x in xs
    ]
    vectors["ln_binomial"] = [
        [x, n, p, float(mp.log(mp.binomial(n, x)) + x * mp.log(p) + (n - x) * mp.log1p(-p))]
        for x, n, p in [(1, 2, 0.5), (3, 10, 0.1), (0, 5, 0.3), (5, 5, 0.3), (500, 1000, 0.5), (10**6, 10**8, 0.0101), (1, 10**9, 1e-9)]
    ]
    vectors["chi_squared"] = [
        [x, df, float(mp.gammainc(mp.mpf(df) / 2, mp.mpf(x) / 2, mp.inf, regularized=True))]
        for x, df in [(100, 1), (50, 2), (0.001, 1), (1, 1), (3.84, 1), (10.83, 1), (2, 2), (1.3, 3), (30, 5), (80, 100), (150, 100), (700, 3), (1400, 1)]
    ]
    vectors["chi_squared_scipy"] = [[x, df, float(stats.chi2.sf(x, df))] for x, df in [(1, 1), (3.84, 1), (2.5, 4), (20, 7), (99, 100)]]
    vectors["dirichlet_multinomial"] = []
    for counts, shares in splits():
        each = [ln_dirichlet_multinomial(counts, shares, k) for k in KS]
        for k, value in zip(KS, each):
            scipy_check(counts, shares, k, value)
        vectors["dirichlet_multinomial"].append([counts, shares, [float(v) for v in each], float(ln_mixture(counts, shares))])
    vectors["tilts"] = []
    for counts, shares in [([60, 40], [0.5, 0.5]), ([10, 20, 31], [0.2, 0.3, 0.5]), ([5, 3, 9], [0.5, 0, 0.5])]:
        rows = []
        for arm in range(len(shares)):
            row = []
            for t in TILTS:
                if shares[arm] == 0:
                    row.append(0.0)
                    continue
                q = [s * (mp.exp(t) if j == arm else 1) for j, s in enumerate(shares)]
                row.append(float(mp.fsum(c * mp.log(mp.mpf(w) / mp.fsum(q) / s) for c, w, s in zip(counts, q, shares) if s > 0)))
            rows.append(row)
        vectors["tilts"].append([counts, shares, rows])
    vectors["confidence"] = [
        [c, s, alpha, confidence(c, s, alpha)]
        for c, s, alpha in [
            ([100, 0], [0.5, 0.5], 0.001), ([821588, 815482], [0.5, 0.5], 0.001), ([1000, 1200], [0.5, 0.5], 0.05),
            ([500, 500, 600], [0.34, 0.33, 0.33], 0.001), ([3, 7], [0.1, 0.9], 0.001), ([0, 1], [0.5, 0.5], 0.001),
        ]
    ]
    increments = [float(x) for x in rng.normal(0, 1, 40)]
    vectors["onset"] = [increments, onset(increments)]
    vectors["log_rank"] = [
        [e, w, log_rank(e, w)] for e, w in [([3, 5], [10, 12]), ([1, 0], [7, 9]), ([4, 2, 8], [20, 11, 30]), ([60, 40], [500, 480])]
    ] + [[e, w, log_rank_exact(e, w)] for e, w in [([3, 5], [10, 12]), ([900, 700], [1000, 1000]), ([30, 1, 0], [31, 40, 2]), ([2, 0], [2, 9])]]
    vectors["excess_rate"] = []
    for events, units, tolerated in [(0, 0, 0.01), (3, 10, 0.01), (50, 5000, 0.01), (90, 5000, 0.01), (4, 4, 0.01), (30, 100, 0.05), (0, 10**6, 0.01)]:
        parts = []
        for factor in [1.25, 1.5, 2, 3, 5, 10, 30, 100]:
            q = min(mp.mpf(1), mp.mpf(tolerated) * factor)
            parts.append((q / mp.mpf(tolerated)) ** events * ((1 - q) / (1 - mp.mpf(tolerated))) ** (units - events))
        vectors["excess_rate"].append([events, units, tolerated, float(mp.log(mp.fsum(parts) / 8))])
    json.dump(vectors, sys.stdout, indent=1)
    print()


main()
