"""Writes behaviors.tsv beside this file: SIMULATED readers of the INVENTED news of news.tsv, in MIND's format.

    python recipes/news/simulate.py

No person, place or event in them is real. Each reader likes one or two categories; of five shown items they click what
is of these, with some noise. Enough for every window to have lists, far too little to prove a lift.
"""

import random
from datetime import datetime, timedelta
from pathlib import Path

READERS, SLATES, SEED = 90, 620, 11
LOG_BEGINS = datetime(2031, 3, 3, 6, 0)  # in the future, so that nobody takes it for a real log


def main(folder: Path) -> None:
    rng = random.Random(SEED)
    of, everything = {}, []
    for line in (folder / "news.tsv").read_text(encoding="utf-8").splitlines():
        key, category, *_ = line.split("\t")
        of.setdefault(category, []).append(key)
        everything.append(key)
    readers = {}
    for n in range(READERS):
        likes = rng.sample(sorted(of), rng.choice((1, 2)))
        mine = [k for c in likes for k in of[c]]
        history = rng.sample(mine, min(len(mine), rng.choice((1, 2, 3, 4, 6, 9))))
        readers[f"U{n + 1}"] = [set(mine), history]
    rows, when = [], LOG_BEGINS
    while len(rows) < SLATES:
        when += timedelta(minutes=rng.randrange(2, 18), seconds=rng.randrange(60))
        reader, (mine, history) = rng.choice(sorted(readers.items()))
        shown = rng.sample([k for k in everything if k not in history], 5)
        clicks = [k for k in shown if rng.random() < (0.6 if k in mine else 0.06)]
        if not clicks:
            continue
        at = f"{when.month}/{when.day}/{when.year} {when.strftime('%I').lstrip('0')}:{when.strftime('%M:%S %p')}"
        told = " ".join(f"{k}-{int(k in clicks)}" for k in shown)
        rows.append([str(len(rows) + 1), reader, at, " ".join(history), told])
    text = "".join("\t".join(row) + "\n" for row in rows)
    (folder / "behaviors.tsv").write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main(Path(__file__).parent)
