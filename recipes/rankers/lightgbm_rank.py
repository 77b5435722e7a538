"""LightGBM's LambdaRank in place of tokenrec's XGBoost. `pip install lightgbm`, then in the recipe:

    reward: ./recipes/rankers/lightgbm_rank.py:rank     # relative to the folder of tokenrec.yaml
    objective: {metric: ndcg@10}                        # it scores candidates, and tokenrec measures
"""

import numpy as np


def rank(fit, lists, seed):
    """float[rows of `lists`]: a score of every candidate, learnt from `fit` (tokenrec.ranking.own.Rows)."""
    import lightgbm

    model = lightgbm.LGBMRanker(
        objective="lambdarank", n_estimators=60, num_leaves=15, learning_rate=0.1, min_child_samples=30,
        subsample=0.8, subsample_freq=1, colsample_bytree=0.8, reg_lambda=5.0, random_state=seed,
        n_jobs=1, deterministic=True, verbose=-1,
    )  # fmt: skip
    per_list = np.bincount(fit.list_of_row, minlength=len(fit.users))
    model.fit(fit.features, fit.label, group=per_list, sample_weight=fit.weight)
    return model.predict(lists.features)


def first_hit(fit, lists, seed):
    """float[lists]: a metric of one's own, for `objective: {metric: reward}`: 1 / rank of the first relevant item."""
    score = rank(fit, lists, seed)
    order = np.lexsort((-score, lists.list_of_row))
    size = np.bincount(lists.list_of_row, minlength=len(lists.users))
    place = np.arange(len(score)) - np.repeat(np.cumsum(size) - size, size) + 1
    value = np.zeros(len(lists.users))
    np.maximum.at(value, lists.list_of_row[order], lists.label[order] / place)
    return value
