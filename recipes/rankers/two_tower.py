"""A two-tower model in torch, which tokenrec installs anyway. In the recipe:

    reward: ./recipes/rankers/two_tower.py:rank     # relative to the folder of tokenrec.yaml
    objective: {metric: ndcg@10}                    # it scores candidates, and tokenrec measures

The item tower reads the vectors that tasks and raw text give (tag probabilities, text embeddings). The user tower is
the mean of the item tower over what the user liked before, so that new users and new items are no special case. To
their product a linear model of the behaviour columns is added.
"""

import numpy as np
import torch

WIDTH, STEPS = 16, 60


def rank(fit, lists, seed):
    """float[rows of `lists`]: a score of every candidate, learnt from `fit` (tokenrec.ranking.own.Rows)."""
    torch.manual_seed(seed)
    texts = [standard(t, t) / t.shape[1] ** 0.5 for t in fit.item_tokens.values()]
    tower = torch.nn.Linear(sum(t.shape[1] for t in texts), WIDTH) if texts else None
    items = torch.cat(texts, dim=1) if texts else None
    behaviour = [i for i, source in enumerate(fit.sources) if source == "behaviour"]
    linear = torch.nn.Linear(len(behaviour), 1)

    def score(rows):
        made = linear(standard(rows.features[:, behaviour], fit.features[:, behaviour]))[:, 0]
        if tower is None:
            return made
        seen = torch.nn.functional.normalize(tower(items), dim=1)
        of_list = torch.as_tensor(rows.list_of_row, dtype=torch.long)
        users = past(rows) @ seen
        return made + 5 * (users[of_list] * seen[torch.as_tensor(rows.item_of_row, dtype=torch.long)]).sum(dim=1)

    parameters = [*linear.parameters(), *(tower.parameters() if tower else ())]
    optimizer = torch.optim.Adam(parameters, lr=0.05, weight_decay=1e-4)
    of_list, label = torch.as_tensor(fit.list_of_row, dtype=torch.long), torch.as_tensor(fit.label, dtype=torch.float32)
    weight = label if fit.weight is None else label * torch.as_tensor(fit.weight)
    for _ in range(STEPS):  # softmax over each list: its relevant items should have the mass
        optimizer.zero_grad()
        made = score(fit)
        total = torch.zeros(len(fit.users)).index_add(0, of_list, (made - made.max()).exp()).log() + made.max()
        loss = (weight * (total[of_list] - made)).sum() / weight.sum()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        return score(lists).numpy()


def past(rows):
    """Sparse float[lists, items]: each list's row averages over what its user liked before."""
    lengths = [len(liked) for liked in rows.liked]
    of_list = np.repeat(np.arange(len(lengths)), lengths)
    value = np.repeat(1 / np.maximum(lengths, 1), lengths)
    place = np.stack([of_list, np.concatenate([*rows.liked, np.zeros(0, np.int64)])])
    return torch.sparse_coo_tensor(
        torch.as_tensor(place, dtype=torch.long), torch.as_tensor(value, dtype=torch.float32),
        (len(lengths), len(rows.items)),
    )  # fmt: skip


def standard(matrix, like):
    """float32 tensor, centred and scaled as `like`; 0, the mean, where there is nothing (an item without a text)."""
    known = np.where(np.isnan(like), 0, 1).sum(axis=0)
    mean = np.nansum(like, axis=0) / np.maximum(known, 1)
    scale = np.sqrt(np.nansum((like - mean) ** 2, axis=0) / np.maximum(known, 1)) + 1e-6
    return torch.as_tensor(np.nan_to_num((matrix - mean) / scale), dtype=torch.float32)
