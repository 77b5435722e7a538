"""How good are the kitchen's tags? Stored tags of the recipe app against the kitchen's labels.

    tokenrec compile recipes/recipe_app.yaml && python evals/benchmarks/tags.py [--json]

For each choice: AUROC of its calibrated probability; for each field: share of written tags that the labels
have (precision), share of labels that were written (recall), and the same for always writing the commonest.
Labels are ours, written from general knowledge; a season "any" is no season to be found.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))


def grade() -> dict:
    from tokenrec.config import load_project
    from tokenrec.dataset.load import load_labels
    from tokenrec.recipe.load import load_recipe
    from tokenrec.store import completions as store
    from tokenrec.store.store import open_store
    from tokenrec.tasks.program import decode, saved_weights
    from tokenrec.tasks.spec import task_spec

    loaded = load_recipe(ROOT / "recipes/recipe_app.yaml")
    db = open_store(load_project(ROOT).store)
    labels = load_labels(loaded.recipe, loaded.folder)
    found = {}
    for task in loaded.recipe.tasks:
        spec = task_spec(loaded.recipe, task)
        current = store.current(db, loaded.recipe.name, task)
        if spec.subject != "item" or not spec.choices or not current:
            continue
        weights = saved_weights(store.load_program(db, current["program_id"], current["lm_id"]), spec)
        rows = list(store.token_rows(db, loaded.recipe.name, task))
        for field, choices in spec.choices.items():
            truth = [labels[s][field] for s, _, _ in rows]
            truth = [set(t if isinstance(t, list) else [t]) & set(choices) for t in truth]
            said = [set(o[field] if isinstance(o[field], list) else [o[field]]) for _, o, _ in rows]
            likely = [decode(spec.outputs[field], choices, p[field], weights[field])[1] for _, _, p in rows]
            keep = [i for i, t in enumerate(truth) if t]
            hits = sum(len(said[i] & truth[i]) for i in keep)
            common = max(choices, key=lambda c: sum(c in t for t in truth))
            found[field] = {
                "texts": len(keep),
                "precision": hits / sum(len(said[i]) for i in keep),
                "recall": hits / sum(len(truth[i]) for i in keep),
                "precision_of_the_commonest": float(np.mean([common in truth[i] for i in keep])),
                "auroc": {
                    c: round(float(roc_auc_score([c in truth[i] for i in keep], [likely[i][c] for i in keep])), 3)
                    for c in choices
                    if 0 < sum(c in truth[i] for i in keep) < len(keep)
                },
            }
            found[field]["mean_auroc"] = float(np.mean(list(found[field]["auroc"].values())))
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = grade()
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        for field, g in result.items():
            print(
                f"{field}: {g['texts']} dishes, precision {g['precision']:.2f} (always the commonest: "
                f"{g['precision_of_the_commonest']:.2f}), recall {g['recall']:.2f}, mean AUROC {g['mean_auroc']:.2f}; "
                + ", ".join(f"{c} {a:.2f}" for c, a in g["auroc"].items())
            )
