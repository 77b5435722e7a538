"""Other spellings and regional names of one thing. Data, not logic: extend freely."""

from ..text import stem, words

_SAME = [
    "scallion|green onion|spring onion", "cilantro|coriander", "prawn|shrimp", "aubergine|eggplant",
    "courgette|zucchini",
    "chickpea|garbanzo", "chile|chili|chilli", "yogurt|yoghurt", "cornstarch|cornflour", "rocket|arugula",
    "beet|beetroot",
    "ketchup|catsup", "doughnut|donut", "grey|gray", "flavor|flavour", "capsicum|bell pepper", "bean curd|tofu",
    "minced beef|ground beef", "confectioner sugar|powdered sugar|icing sugar", "film|movie", "hip hop|hiphop",
]  # fmt: skip

# stemmed words -> the same thing otherwise
ALIASES: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
for _group in _SAME:
    _terms = [tuple(stem(w) for w in words(s)) for s in _group.split("|")]
    for _term in _terms:
        ALIASES[_term] = [t for t in _terms if t != _term]
