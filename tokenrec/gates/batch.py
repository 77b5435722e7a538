"""Checks that need all texts of a task side by side. Linear in their number, up to the neighbours compared.

Each takes parallel lists and returns findings by position, only for texts with something to say.
"""

import itertools
import zlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rapidfuzz.distance import Indel

from .base import Finding
from .text import clip, covered, is_cjk, longest_run, nameless, stem, strings, tokens, words

NEAR, COLLAPSE, BOILERPLATE, TELLING = (
    "noise/near_duplicate",
    "noise/collapse",
    "noise/boilerplate",
    "noise/not_telling",
)
FEW = 20  # below this many subjects, "over-used" and "among its neighbours" mean nothing
_PERMUTATIONS, _BAND = 32, 2  # MinHash: 16 bands of 2 find pairs at Jaccard .6 with probability .999, at .2 .48
_BUCKET = 12  # neighbours compared per bucket: bounds the cost when thousands of texts share one
_PRIME = np.uint64((1 << 61) - 1)


def collapse(texts: Sequence[str], subjects: Sequence[str], soft: bool = False) -> dict[int, Finding]:
    """One output for too many subjects: the same words for more than 2 and over 1% of them.

    `soft` (tags: dishes may share them): over 90% of at least 20 subjects, and the finding passes. Score: the share.
    """
    keys = [" ".join(words(t)) if not soft else t for t in texts]
    holders: dict[str, set[str]] = defaultdict(set)
    for key, subject in zip(keys, subjects):
        holders[key].add(subject)
    n = len(set(subjects))
    found = {}
    for i, key in enumerate(keys):
        count = len(holders[key])
        if (soft and n >= FEW and count > 0.9 * n) or (not soft and count > max(2, 0.01 * n)):
            reason = f"one answer for {count} of {n} subjects"
            found[i] = Finding(COLLAPSE, soft, round(count / n, 4), reason, clip(texts[i]))
    return found


def near_duplicates(
    texts: Sequence[str], subjects: Sequence[str], names: Sequence[str], limit: float = 0.85
) -> dict[int, Finding]:
    """Texts nearly equal to another subject's: word by word (Indel similarity >= `limit`), without the subjects' names.

    Both are named: nothing in the texts tells which was first. Words, not letters: two lines that differ in what they
    serve are no duplicates. Candidates come from MinHash over word pairs, at most 12 a bucket. Texts with fewer than 4
    words left are compared whole. Score: the similarity.
    """
    flat = [_without_name(text, name) for text, name in zip(texts, names)]
    best: dict[int, tuple[float, int]] = {}
    for bucket in _buckets(flat):
        for place, i in enumerate(bucket):
            # the next ones in the bucket, so that everyone has neighbours however full it is
            for j in bucket[place + 1 : place + 1 + _BUCKET]:
                if subjects[i] == subjects[j]:
                    continue
                if min(best.get(i, (0, 0))[0], best.get(j, (0, 0))[0]) == 1:
                    continue
                ratio = Indel.normalized_similarity(flat[i], flat[j], score_cutoff=limit)
                if ratio:
                    best[i] = max(best.get(i, (0, 0)), (ratio, j))
                    best[j] = max(best.get(j, (0, 0)), (ratio, i))
    return {
        i: Finding(NEAR, False, round(ratio, 4), f"nearly the text of {names[j] or subjects[j]}", clip(texts[i]))
        for i, (ratio, j) in sorted(best.items())
    }


def _without_name(text: str, name: str) -> list[str]:
    seq = words(text)
    rest = [w for w, kept in zip(seq, nameless(seq, name)) if kept]
    return rest if len(rest) >= 4 else list(seq)


def _buckets(flat: Sequence[list[str]]) -> list[list[int]]:
    """Positions that share a MinHash band over word pairs; buckets of two and more."""
    rng = np.random.default_rng(0)
    a = rng.integers(1, 2**31, _PERMUTATIONS, dtype=np.uint64)
    b = rng.integers(0, 2**31, _PERMUTATIONS, dtype=np.uint64)
    groups: dict[tuple[int, bytes], list[int]] = defaultdict(list)
    for i, seq in enumerate(flat):
        pairs = {f"{x} {y}" for x, y in itertools.pairwise(seq)} or set(seq)
        if not pairs:
            continue
        hashes = np.fromiter((zlib.crc32(p.encode("utf-8", "surrogatepass")) for p in pairs), np.uint64, len(pairs))
        lows = ((hashes[:, None] * a + b) % _PRIME).min(axis=0)
        for band in range(0, _PERMUTATIONS, _BAND):
            groups[band, lows[band : band + _BAND].tobytes()].append(i)
    return [g for g in groups.values() if len(g) > 1]


def boilerplate(
    texts: Sequence[str], subjects: Sequence[str], names: Sequence[str], limit: float = 0.6
) -> dict[int, Finding]:
    """Texts mostly made of runs of 4 words (Han: 6) that the batch over-uses: in over 3% of the subjects, at least 5.

    The subject's name does not count. Fails above `limit`; otherwise the share is a soft score.
    """
    if len(set(subjects)) < FEW:
        return {}
    kept: list[list] = []
    counts: Counter[tuple[str, ...]] = Counter()
    done: set[tuple[str, tuple[str, ...]]] = set()
    for text, subject, name in zip(texts, subjects, names):
        seq = tokens(text)
        seq = [t for t, rest in zip(seq, nameless([t[0] for t in seq], name)) if rest]
        kept.append(seq)
        for gram in set(_runs(seq)):
            if (subject, gram) not in done:
                done.add((subject, gram))
                counts[gram] += 1
    least = max(5, 0.03 * len(set(subjects)))
    worn = {gram for gram, n in counts.items() if n >= least}
    found = {}
    for i, seq in enumerate(kept):
        plain = [t[0] for t in seq]
        mask = covered(plain, worn, _width(plain))
        if not any(mask):
            continue
        share = round(sum(mask) / len(mask), 4)
        start, end = longest_run(mask)
        quote = clip(texts[i][seq[start][1] : seq[end - 1][2]])
        found[i] = Finding(
            BOILERPLATE, share <= limit, share, f"{share:.0%} made of phrases that the batch over-uses", quote
        )
    return found


def _width(seq: Sequence[str]) -> int:
    return 6 if sum(map(is_cjk, seq)) > len(seq) / 2 else 4


def _runs(seq: Sequence) -> list[tuple[str, ...]]:
    plain = [t[0] for t in seq]
    k = _width(plain)
    return [tuple(plain[i : i + k]) for i in range(len(plain) - k + 1)]


def not_telling(
    texts: Sequence[str],
    subjects: Sequence[str],
    records: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    hard: bool = True,
    limit: float = 0.25,
    most: int = 2000,
) -> dict[int, Finding]:
    """Texts that cannot find their own subject: over `limit` of the other records are closer by TF-IDF cosine.

    The name is taken out of the text, or any sentence would find its subject; records that hold nothing but the name
    are not judged, nor are fewer than 20 subjects. Against at most `most` records, the first by hash of the subject.
    `hard=False` (open grounding: other words are wanted) gives soft scores. Score: share of closer records, ties half.
    """
    first = {}
    for i, subject in enumerate(subjects):
        first.setdefault(subject, i)
    if len(first) < FEW:
        return {}
    from sklearn.feature_extraction.text import TfidfVectorizer

    def plain(text: str, without: str = "") -> list[str]:
        seq = words(text)
        return [stem(w) for w, kept in zip(seq, nameless(seq, without)) if kept]

    sources = [plain(" ".join(strings(dict(records[i]))), names[i]) for i in first.values()]
    if sum(map(bool, sources)) < FEW:
        return {}
    vectors = TfidfVectorizer(analyzer=lambda seq: seq, sublinear_tf=True)
    matrix = vectors.fit_transform(sources)
    row = {subject: r for r, subject in enumerate(first)}
    order = sorted(row, key=lambda subject: zlib.crc32(subject.encode("utf-8", "surrogatepass")))
    others = matrix[[row[subject] for subject in order[:most]]]
    asked = vectors.transform([plain(text, name) for text, name in zip(texts, names)])
    found = {}
    for at in range(0, len(texts), 512):
        block = asked[at : at + 512]
        sims = (block @ others.T).toarray()
        mine = np.array([row[s] for s in subjects[at : at + 512]])
        own = np.asarray(block.multiply(matrix[mine]).sum(axis=1)).ravel()
        above = (sims > own[:, None] + 1e-9).sum(axis=1)
        same = (np.abs(sims - own[:, None]) <= 1e-9).sum(axis=1)
        share = (above + np.maximum(same - 1, 0) / 2) / max(others.shape[0] - 1, 1)
        for i, value in enumerate(share, start=at):
            if not sources[row[subjects[i]]] or not block.getrow(i - at).nnz and not hard:
                continue
            bad = value > limit
            reason = f"{value:.0%} of the other records fit it better than its own" if bad else ""
            found[i] = Finding(
                TELLING, not (bad and hard), round(float(value), 4), reason, clip(texts[i]) if bad else ""
            )
    return found
