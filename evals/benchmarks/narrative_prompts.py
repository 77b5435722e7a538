"""Does another prompt than MINT's find more of what a person liked and the prompt did not show?

    python evals/benchmarks/narrative_prompts.py FOODCOM_DIR [--json]

FOODCOM_DIR is ../shared/data/foodcom_small. Two challengers of the published prompt of `craving`
(recipes/narrative.yaml) meet it as `tokenrec compile` has them meet: scored on the people of one half, the better one
tested on the others (tokenrec/compiler/requests.py). 0.5 is chance. Requests were written by the model "claude": the
published prompt's are in narrative_requests.jsonl.gz, the challengers' in narrative_prompts.jsonl.gz (by instruction
alone, without worked examples; `three_wishes` for the first half only, where it lost). They hold no title of a dish
asked for and no six words in a row of what their prompts show.
"""

import argparse
import gzip
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))
sys.path.insert(0, str(HERE))

LIST = "Each list holds things that one person liked, with what was written about them. "
INSTRUCTIONS = {
    "concrete": LIST + "Write the request that this person could have posted for strangers to answer before knowing "
    "any of them. Say in concrete words what they are after: the kinds of dishes, the main ingredients, the cuisines "
    "and the ways of cooking that stand in the list, the most frequent first. Leave out people, occasions and "
    "opinions. Two or three sentences, 25 to 90 words. Name none of the things themselves.",
    "three_wishes": LIST + "Write what this person would type into a search box on three different days: three short, "
    "plain wishes, each for another of the tastes that the list shows, as one line with full stops between them. Name "
    "none of the things themselves.",
}


def challengers() -> dict[str, dict[str, dict]]:
    """Prompt → subject → output."""
    found: dict[str, dict[str, dict]] = {name: {} for name in INSTRUCTIONS}
    with gzip.open(HERE / "narrative_prompts.jsonl.gz", "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            found[row["prompt"]][row["subject"]] = row["output"]
    return found


def compare(foodcom: Path) -> list[dict]:
    """A row a comparison: {"prompt", "half", "people", "published", "value", "delta", "low", "high", "p"}."""
    from narrative_trained import written

    from tokenrec.compiler.requests import request_reward, sets_of
    from tokenrec.evidence.queries import mean_of
    from tokenrec.tasks.overrides import told
    from tokenrec.tasks.spec import task_spec

    with tempfile.TemporaryDirectory() as scratch:
        session, _ = written(foodcom, Path(scratch))
        spec = task_spec(session.recipe, "craving")
        sets = sets_of(session, spec)
        published = told(session.db, session.recipe, session.loaded.folder, "craving")

        def scores(rows: dict[str, dict], choosing: bool) -> dict[int, float]:
            reward = request_reward(session, spec, sets, list(rows.items()), choosing)
            mean = np.nanmean(reward.reference, axis=0)
            return {n: reward.score(n, reward.reference[n], mean) for n in reward.subjects()}

        def against(name: str, rows: dict[str, dict], choosing: bool) -> dict:
            old, new = scores(published, choosing), scores(rows, choosing)
            people = sorted(set(old) & set(new))
            before, after = (np.array([s[n] for n in people]) for s in (old, new))
            d = mean_of(after - before)
            low, high = d.interval()
            return {"prompt": name, "half": "chosen on" if choosing else "tested on", "people": len(people),
                    "published": before.mean(), "value": after.mean(), "delta": d.value, "low": low, "high": high,
                    "p": d.p_value}  # fmt: skip

        by = challengers()
        rows = [against(name, by[name], True) for name in by]
        best = max(rows, key=lambda r: r["value"])
        rows.append(against(best["prompt"], by[best["prompt"]], False))
        session.db.conn.close()
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("foodcom", type=Path, metavar="FOODCOM_DIR")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    rows = compare(options.foodcom)
    if options.json:
        print(json.dumps({"instructions": INSTRUCTIONS, "rows": rows}, default=float))
        return 0
    for r in rows:
        print(f"{r['half']} {r['people']} people: published {r['published']:.3f}, {r['prompt']} {r['value']:.3f}, "
              f"{r['delta']:+.3f} ({r['low']:+.3f} to {r['high']:+.3f}), p = {r['p']:.3f}")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
