"""Text that says nothing of its subject: the name, grammar and praise that fits anything."""

from ..base import Finding
from ..text import STOP, clip, is_cjk, listed, stem, words

GATE = "noise/tells_nothing"

# Praise, filler, and the words for the things of a catalogue: true of every item, so true of none.
VAGUE = listed(
    """good great nice delicious tasty yummy amazing wonderful excellent perfect best better favourite favorite fine
    lovely awesome fantastic incredible beautiful special unique popular famous well known must try enjoy enjoyed love
    loved like likes liked item thing product kind type sort something anything everyone anyone people called named
    book novel title song track album artist band music movie film show game dish recipe food meal cuisine story read
    written author delightful great-tasting interesting simple made make makes making get gets really quite truly
    ultimate experience sure ever eat eats eating drink drinking watch watching listen listening hear hearing simply
    absolutely totally recommend recommended worth everybody nobody"""
)
_VAGUE_CJK = frozenset("的了是在和一这那个我有很非常好不也都就道菜书本部首歌曲美味吃喜欢值得推荐它其之为")


def telling(text: str, name: str = "", least: int = 2) -> Finding:
    """Fails when fewer than `least` distinct content words (Han: 2 * least characters) remain beside the name,
    grammar and words that fit anything. Score: 1 / (1 + content words)."""
    seen = set()
    own = {stem(w) for w in words(name)}
    han = 0
    for word in set(words(text)) if text.isascii() else words(text):
        if is_cjk(word):
            han += word not in own and word not in _VAGUE_CJK
        elif word not in STOP and not word.isdigit():
            root = stem(word)
            if root not in own and root not in VAGUE and word not in VAGUE and len(root) > 1:
                seen.add(root)
    content = len(seen) + han / 2
    score = round(1 / (1 + content), 4)
    if content < least:
        return Finding(GATE, False, score, "says nothing beyond the name and words that fit anything", clip(text))
    return Finding(GATE, True, score)
