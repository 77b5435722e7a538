"""KAR's hybrid-expert adaptor: encoded texts of users and items → short vectors and a score for a ranker.

Either side has experts of its own, both share some, and a softmax gate on the text mixes them (Xi et al. 2024, section
3.4; the numbers of `AdaptorSettings` are the published ones). There the adaptor learns together with a click model's
backbone; here a small head on both vectors stands for it, on top of the margin of what clicks say (`margin`), and the
ranker takes the result as columns. The number of epochs is chosen on lists and items held out of fit, never on later
windows.

A text names its item, so an adaptor learns by heart how often the items of fit are liked. Folds are therefore over
users and items both (`fit_folds`): with folds over lists alone the ranker trusts it far too much (kitchen: .146 NDCG@10
became .057), and on tune, where what posed as new in fit was known by then, shuffled texts helped as true ones did.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tokenrec.dataset.types import Lists
from tokenrec.errors import InputError
from tokenrec.files import whole
from tokenrec.ranking.ranker import sample_rows


@dataclass(frozen=True)
class AdaptorSettings:
    """`dedicated` experts a side and `shared` ones, each an MLP width → hidden → out."""

    dedicated: int = 5
    shared: int = 2
    hidden: int = 128
    out: int = 32
    learning_rate: float = 1e-3
    decay: float = 1e-4
    dropout: float = 0.1
    negatives: int = 20  # a list and epoch, drawn anew
    lists: int = 64  # a batch
    epochs: int = 20
    patience: int = 3  # epochs without a better loss on what is held out
    held: float = 0.2  # share of the lists, and of the items, whose pairs say when to stop


PUBLISHED = AdaptorSettings()


@dataclass(frozen=True)
class Adaptor:
    """A fitted adaptor. `turn`: rotations that lay its vectors over those of another one (see `aligned`)."""

    settings: AdaptorSettings
    model: Any
    losses: tuple[float, ...]  # on the held-out pairs, epoch by epoch
    turn: tuple[np.ndarray, np.ndarray] | None = None

    def adapt(self, side: str, vectors: np.ndarray) -> np.ndarray:
        """float32[n, out] of vectors float[n, d] about `side`, user or item; rows of NaN stay NaN."""
        made = self._raw(side, vectors)
        return made if self.turn is None else made @ self.turn[side == "item"]

    def score(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """float32[n_users, n_items]: the head's log-odds of every pair; NaN where either has no text."""
        import torch

        u, i = torch.from_numpy(self._raw("user", users)), torch.from_numpy(self._raw("item", items))
        with torch.no_grad():
            return self.model.pairs(u, i).numpy()

    def _raw(self, side: str, vectors: np.ndarray) -> np.ndarray:
        import torch

        out = np.full((len(vectors), self.settings.out), np.nan, np.float32)
        known = np.isfinite(vectors).all(axis=1)
        if known.any():
            with torch.no_grad():
                told = torch.from_numpy(np.ascontiguousarray(vectors[known], np.float32))
                out[known] = self.model.side(side, told).numpy()
        return out


def fit_adaptor(
    users: np.ndarray, items: np.ndarray, lists: Lists, settings: AdaptorSettings = PUBLISHED,
    margin: np.ndarray | None = None, among: np.ndarray | None = None, among_items: np.ndarray | None = None,
    seed: int = 0,
) -> Adaptor:  # fmt: skip
    """Learn from `lists` which pairs are taken (binary cross-entropy on sampled rows, Adam).

    `users` is float[n_users, d], `items` float[n_items, d]; pairs with a row of NaN teach nothing. `margin` is
    float[n_rows], the log-odds that clicks alone give; `among` bool[n_lists] and `among_items` bool[n_items] say which
    lists and items may be learnt from. Raises InputError where fewer than two lists can be.
    """
    import torch

    able = np.isfinite(users).all(axis=1)[lists.user]
    able &= among if among is not None else True
    chosen = np.flatnonzero(able)
    if len(chosen) < 2:
        raise InputError(f"an adaptor needs lists of users and items with texts to learn from, and {len(chosen)} are")
    rng = np.random.default_rng([seed, 5])
    order = rng.permutation(chosen)
    stop = max(1, round(settings.held * len(order)))
    held, train = np.sort(order[:stop]), order[stop:]
    known = np.isfinite(items).all(axis=1)
    known &= among_items if among_items is not None else True
    told_items = known & (np.random.default_rng([seed, 6]).random(len(items)) < settings.held)
    taught = known & ~told_items
    u = torch.from_numpy(np.nan_to_num(users).astype(np.float32))
    i = torch.from_numpy(np.nan_to_num(items).astype(np.float32))
    base = None if margin is None else torch.from_numpy(np.asarray(margin, np.float32))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _model(users.shape[1], settings)
        optimizer = torch.optim.AdamW(model.parameters(), settings.learning_rate, weight_decay=settings.decay)
        best, state, losses, worse = np.inf, None, [], 0
        told = _rows(lists, settings.negatives, seed, told_items)  # as many to a like as are learnt from
        for epoch in range(settings.epochs):
            model.train()
            rows = _rows(lists, settings.negatives, seed * 1000 + epoch + 1, taught)
            for start in range(0, len(train), settings.lists):
                batch = np.sort(train[start : start + settings.lists])
                loss = _loss(model, u, i, lists, _of(rows, lists, batch), base)
                if loss is not None:
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
            train = rng.permutation(train)
            model.eval()
            with torch.no_grad():
                loss = _loss(model, u, i, lists, _of(told, lists, held), base)
            losses.append(float("inf") if loss is None else float(loss))
            if losses[-1] < best - 1e-5:
                best, worse = losses[-1], 0
                state = {k: v.clone() for k, v in model.state_dict().items()}
            elif (worse := worse + 1) >= settings.patience:
                break
        model.load_state_dict(state or model.state_dict())
    model.eval()
    return Adaptor(settings, model, tuple(losses))


def fit_folds(
    users: np.ndarray, items: np.ndarray, lists: Lists, user_fold: np.ndarray, item_fold: np.ndarray,
    settings: AdaptorSettings = PUBLISHED, margin: np.ndarray | None = None, seed: int = 0,
) -> list[Adaptor]:  # fmt: skip
    """folds x folds adaptors; number a * folds + b has seen neither users of fold a nor items of fold b.

    `user_fold` is int[n_users], `item_fold` int[n_items]. So what the ranker is trained on looks as it will for new
    users and new items. All are laid over the first one, since coordinates of vectors that were learnt apart mean
    nothing to each other. Raises InputError where one would have fewer than two lists.
    """
    folds = int(max(user_fold.max(), item_fold.max())) + 1
    made: list[Adaptor] = []
    for a in range(folds):
        for b in range(folds):
            among = (user_fold != a)[lists.user] if folds > 1 else None
            items_among = item_fold != b if folds > 1 else None
            found = fit_adaptor(users, items, lists, settings, margin, among, items_among, seed)
            made.append(aligned(found, made[0], users, items) if made else found)
    return made


def aligned(adaptor: Adaptor, to: Adaptor, users: np.ndarray, items: np.ndarray) -> Adaptor:
    """The adaptor with its vectors rotated onto those of `to` (orthogonal Procrustes on the given texts)."""
    from scipy.linalg import orthogonal_procrustes

    turns = []
    for side, vectors in (("user", users), ("item", items)):
        known = vectors[np.isfinite(vectors).all(axis=1)]
        mine, theirs = adaptor._raw(side, known), to.adapt(side, known)
        turns.append(orthogonal_procrustes(mine.astype(float), theirs.astype(float))[0].astype(np.float32))
    return Adaptor(adaptor.settings, adaptor.model, adaptor.losses, tuple(turns))


def save_adaptor(adaptor: Adaptor, path: Path) -> None:
    """Write `path`.safetensors and `path`.json; no pickle."""
    from safetensors.numpy import save

    weights = {name: value.numpy() for name, value in adaptor.model.state_dict().items()}
    for side, turn in zip(("user", "item"), adaptor.turn or (), strict=False):
        weights[f"turn.{side}"] = turn
    with whole(path.with_suffix(".safetensors")) as partial:
        partial.write_bytes(save(weights))
    about = {"kind": "adaptor", "settings": asdict(adaptor.settings), "width": adaptor.model.width,
             "losses": [round(x, 6) for x in adaptor.losses]}  # fmt: skip
    with whole(path.with_suffix(".json")) as partial:
        partial.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def load_adaptor(path: Path) -> Adaptor:
    """What `save_adaptor` wrote. Raises InputError naming the file that is missing or is none."""
    import torch
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        about = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        settings = AdaptorSettings(**about["settings"])
        weights = load(path.with_suffix(".safetensors").read_bytes())
        turn = tuple(weights.pop(f"turn.{s}") for s in ("user", "item")) if "turn.user" in weights else None
        model = _model(about["width"], settings)
        model.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in weights.items()})
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise InputError(f"{path}.json with {path.name}.safetensors is no adaptor: {error}") from error
    model.eval()
    return Adaptor(settings, model, tuple(about["losses"]), turn)


def _rows(lists: Lists, negatives: int, seed: int, known: np.ndarray) -> np.ndarray:
    rows = sample_rows(lists, negatives, seed)
    return rows[known[lists.item_of_row[rows]]]


def _of(rows: np.ndarray, lists: Lists, chosen: np.ndarray) -> np.ndarray:
    """The rows of the chosen lists. `rows` are sorted, and so by list."""
    first = np.searchsorted(rows, lists.indptr[chosen])
    last = np.searchsorted(rows, lists.indptr[chosen + 1])
    return np.concatenate([rows[a:b] for a, b in zip(first, last, strict=True)])


def _loss(model, users, items, lists: Lists, rows: np.ndarray, base):
    """None without rows. Each user and item is adapted once, however many rows it is in."""
    import torch

    if not len(rows):
        return None
    who, user = np.unique(lists.user[lists.list_of_row[rows]], return_inverse=True)
    what, item = np.unique(lists.item_of_row[rows], return_inverse=True)
    u, i = model.side("user", users[who])[user], model.side("item", items[what])[item]
    said = model.head(torch.cat([u, i, u * i], dim=1))[:, 0]
    if base is not None:
        said = said + base[rows]
    label = torch.from_numpy(lists.label[rows].astype(np.float32))
    return torch.nn.functional.binary_cross_entropy_with_logits(said, label)


def _model(width: int, settings: AdaptorSettings):
    import torch
    from torch import nn

    class Experts(nn.Module):
        """n MLPs side by side: [rows, width] → [rows, n, out]."""

        def __init__(self, n: int):
            super().__init__()
            self.first = nn.Parameter(torch.randn(n, width, settings.hidden) * (2 / width) ** 0.5)
            self.bias = nn.Parameter(torch.zeros(n, settings.hidden))
            self.second = nn.Parameter(torch.randn(n, settings.hidden, settings.out) * settings.hidden**-0.5)

        def forward(self, x, dropout):
            hidden = dropout(torch.relu(torch.einsum("rd,edh->reh", x, self.first) + self.bias))
            return torch.einsum("reh,eho->reo", hidden, self.second)

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.width, n = width, settings.dedicated + settings.shared
            self.shared = Experts(settings.shared)
            self.own = nn.ModuleDict({side: Experts(settings.dedicated) for side in ("user", "item")})
            self.gate = nn.ModuleDict({side: nn.Linear(width, n) for side in ("user", "item")})
            self.norm = nn.ModuleDict({side: nn.LayerNorm(width) for side in ("user", "item")})
            self.dropout = nn.Dropout(settings.dropout)
            self.head = nn.Sequential(
                nn.Linear(3 * settings.out, settings.out), nn.ReLU(), nn.Linear(settings.out, 1)
            )

        def side(self, side: str, x):
            x = self.norm[side](x)
            experts = torch.cat([self.own[side](x, self.dropout), self.shared(x, self.dropout)], dim=1)
            return (torch.softmax(self.gate[side](x), dim=1)[:, :, None] * experts).sum(dim=1)

        def pairs(self, u, i, at_once: int = 64):
            parts = []
            for start in range(0, len(u), at_once):
                some = u[start : start + at_once]
                both = some[:, None].expand(-1, len(i), -1), i[None].expand(len(some), -1, -1)
                parts.append(self.head(torch.cat([*both, both[0] * both[1]], dim=2))[:, :, 0])
            return torch.cat(parts) if parts else torch.empty(0, len(i))

    return Model()
