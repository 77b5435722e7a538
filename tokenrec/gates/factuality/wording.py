"""Wording that goes with unsupported claims whatever the subject: praise, hedges, causes, extremes, trends, denial."""

import re

_GROUPS = {
    "super": r"most|best|highest|lowest|largest|biggest|smallest|top|leading|worst|peak\w*|max\w*|min(?:imum)?",
    "praise": r"great|perfect|ideal|excellent|impressive|beautiful|popular|famous|notable|renowned|unique|sleek|"
    r"classic|modern|stylish|powerful|versatile|durable|convenient|affordable|significant\w*|remarkable|prominent|"
    r"well-known|rich|vibrant|strong|high-quality|decent|comfortable|pleasant|mild|exciting|close|thrilling|dominant|convincing|"
    r"solid|talented|successful|important|key|crucial|interesting",
    "hedge": r"may|might|could|likely|possibl\w+|probabl\w+|perhaps|suggest\w*|indicat\w*|appear\w*|seem\w*|expected|"
    r"potential\w*|presumably|approximately|about|around|roughly|nearly|almost|over|under|slightly",
    "cause": r"because|due|therefore|thus|hence|making|result\w*|lead\w*|led|caus\w+|contribut\w+|reflect\w*|impact\w*|"
    r"despite|although|however|while|whereas",
    "trend": r"increas\w*|decreas\w*|ris\w+|rose|fall\w*|fell|drop\w*|declin\w*|grow\w*|grew|stead\w*|gradual\w*|"
    r"fluctuat\w*|remain\w*|chang\w*|vary\w*|varies|rang\w+|trend\w*|stable|consistent\w*|constant\w*",
    "general": r"overall|general\w*|mostly|mainly|throughout|always|all|every|each|never|none|both|various|several|"
    r"multiple|many|numerous|wide|range|variety|different|other|including|such",
    "purpose": r"designed|suitable|allow\w*|ensur\w*|provid\w*|offer\w*|enabl\w*|support\w*|feature\w*|use\w*|users?|"
    r"experience|capab\w+|compatib\w+",
    "sum": r"overall|in summary|in conclusion|additionally|furthermore|moreover|finally|meanwhile|also",
    "deny": r"no|not|without|lack\w*|none|never|neither|nor|cannot|unavailable|absence|missing|\w+n['’]t",
    "time": r"morning|afternoon|evening|night|days?|weeks?|weekend|months?|years?|decade|today|tomorrow|hours?|period|"
    r"between|during|until|end|beginning|start\w*|later|after|before|then|next|first|second|third|last",
    "this": r"he|she|it|they|his|her|its|their|this|these",
    "known": r"known|considered|regarded|famed|renowned|currently|still|recent\w*|today|now|former\w*|previous\w*",
    "kind": r"smartphone|tablet|device|company|city|town|country|arena|stadium|film|band|team|player|game|match",
    "not_told": r"not (?:available|specified|mentioned|provided|known|given|listed)|unknown|unspecified|undisclosed",
    "where": r"which|that|who|where|as well as|along with|with",
}
GROUPS = {name: re.compile(rf"\b(?:{words})\b", re.IGNORECASE) for name, words in _GROUPS.items()}
DENY = GROUPS["deny"]
UP = re.compile(r"\b(?:increas\w*|ris(?:es?|en|ing)|rose|grow\w*|grew|climb\w*|upward|improv\w*|surge\w*)\b", re.I)
DOWN = re.compile(r"\b(?:decreas\w*|declin\w*|drop\w*|fall(?:s|en|ing)?|fell|downward|reduc\w*|dip\w*|cool\w*)\b", re.I)
STEADY = re.compile(r"\b(?:stead\w*|gradual\w*|consistent\w*|constant\w*|stable|continu\w*)\b", re.I)
HIGH = re.compile(r"\b(?:high(?:est)?s?|max\w*|peak\w*|up to|reach\w*|top\w*|warmest|hottest|largest|most)\b", re.I)
LOW = re.compile(r"\b(?:low(?:est)?s?|min(?:imum)?\w*|down to|cold\w*|coolest|smallest|least|starting|from)\b", re.I)
ABOVE = re.compile(r"\b(?:above|over|exceed\w*|more than|greater than|higher than)\s*(?:the\s+)?(?:\d)?$", re.I)
BELOW = re.compile(r"\b(?:below|under|less than|lower than|fewer than)\s*(?:the\s+)?(?:\d)?$", re.I)
RANGE = re.compile(
    r"^[^\d,.;]{0,14}?(?:to|and|[-–—])\s*(?:(?:a|the)?\s*(?:high|low|max\w*|min\w*)\s*(?:of)?\s*)?$", re.I
)
