"""judge: nli, with tiny sentence-pair models made here: labels in any order, long records, whole recipes, broken models."""

import json

import pytest

from tests.gates.test_judge import line_task
from tokenrec.config import LoadedProject, Nli, Project
from tokenrec.errors import InputError
from tokenrec.gates.base import Candidate
from tokenrec.gates.factuality.nli import NliScorer, entailment_label, open_nli
from tokenrec.gates.judge import Judge

WORDS = ["red", "oak", "black"]
KINDS = ["chair", "table", "lamp", "shelf"]


def save_model(folder, labels, positions=64, train=()):
    """A BERT of one layer and 32 dimensions over our own words; `train`: (premise, hypothesis, label) to fit it to."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz0123456789.:,",
                  *(f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz0123456789"), *WORDS, *KINDS, "glass", "paper", "steel", "the", "is", "colour",
                  "made", "of", "name", "material"]  # fmt: skip
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    tokenizer = BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=positions)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=positions, num_labels=len(labels), hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0, initializer_range=0.2, id2label=dict(enumerate(labels)),
        label2id={label: i for i, label in enumerate(labels)},
    )  # fmt: skip
    model = BertForSequenceClassification(config)
    if train:
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
        batch = tokenizer([p for p, *_ in train], [h for _, h, _ in train], padding=True, return_tensors="pt")
        target = torch.tensor([labels.index(label) for *_, label in train])
        for _ in range(200):
            loss = model(**batch, labels=target).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if loss < 0.01:
                break
    model.eval()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def pairs():
    """Planted pairs: the record says one word of the thing, and the sentence the same one or another."""
    return [
        (f"name: {kind}\ncolour: {word}", f"The {kind} is {said}.", "ENTAILMENT" if said == word else "CONTRADICTION")
        for kind in KINDS for word in WORDS for said in [*WORDS, word]
    ]  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("nli") / "tiny", ["CONTRADICTION", "NEUTRAL", "ENTAILMENT"],
                      train=pairs())  # fmt: skip


@pytest.fixture(scope="module")
def judge(trained):
    return open_nli(LoadedProject(Project(), trained.parent), "tiny")


def test_a_trained_model_tells_the_borne_out_sentence_from_the_other(judge):
    said = judge.score_all([
        ("The lamp is red. The lamp is black.", {"name": "lamp", "colour": "red"}),
        ("The chair is oak.", {"name": "chair", "colour": "oak"}),
        ("The chair is black.", {"name": "chair", "colour": "oak"}),
    ])  # fmt: skip
    (true, false), (oak,), (black,) = (s.parts for s in said)
    assert true[2] < 0.3 < 0.7 < false[2] and oak[2] < 0.3 < 0.7 < black[2]
    assert (true[:2], false[:2]) == ((0, 16), (17, 35))
    assert said[0].probability == false[2] and [s.suspects for s in said] == [1, 0, 1]


def test_many_texts_at_once_are_judged_as_one_by_one(judge):
    texts = [(f"The {k} is {w}. The {k} is glass.", {"name": k, "colour": w}) for k in KINDS for w in WORDS]
    together, alone = judge.score_all(texts), [judge.score_all([t])[0] for t in texts]
    for a, b in zip(together, alone):
        assert [p[:2] for p in a.parts] == [p[:2] for p in b.parts]
        assert [p[2] for p in a.parts] == pytest.approx([p[2] for p in b.parts], abs=2e-3)
    assert judge.score_all([]) == [] and judge.score_all([("", {"a": 1})])[0].probability == 0.0


def test_a_long_record_is_read_in_passages_and_the_best_one_counts(judge, monkeypatch):
    """The window is 64 LM tokens: a record of 40 shops does not fit, and the line that matters is at its end."""
    record = {f"shop {i}": "paper glass steel" for i in range(40)} | {"name": "lamp", "colour": "red"}
    seen = []
    entailed = NliScorer._entailed
    monkeypatch.setattr(NliScorer, "_entailed", lambda self, asked: seen.extend(asked) or entailed(self, asked))
    (found,) = judge.score_all([("The lamp is red.", record)])
    assert 1 < len(seen) <= 6
    tokenizer = judge.model.tokenizer
    assert all(len(tokenizer(p, h)["input_ids"]) <= 64 for p, h in seen)
    assert any("colour: red" in p for p, _ in seen)
    best = min(1 - float(x) for x in entailed(judge, seen))
    assert found.probability == pytest.approx(best, abs=1e-3)


def test_one_line_longer_than_the_window_is_cut_between_words(judge):
    (found,) = judge.score_all([("The lamp is red.", {"name": " ".join(["lamp red"] * 200)})])
    assert len(found.parts) == 1 and 0 <= found.probability <= 1


@pytest.mark.parametrize("labels, place", [
    (["entailment", "neutral", "contradiction"], 0), (["CONTRADICTION", "ENTAILMENT", "NEUTRAL"], 1),
    (["not_entailment", "Entailment"], 1), (["contradiction", "neutral", "entail"], 2)])
def test_the_entailment_label_is_found_by_name(labels, place):
    assert entailment_label(dict(enumerate(labels)), "m") == place
    assert entailment_label({str(i): label for i, label in enumerate(labels)}, "m") == place


@pytest.mark.parametrize("labels", [["LABEL_0", "LABEL_1", "LABEL_2"], ["not_entailment", "neutral"], ["entailment"], []])
def test_a_model_without_that_label_is_refused_with_its_labels(labels):
    with pytest.raises(InputError, match=r"none is entailment.*id2label"):
        entailment_label(dict(enumerate(labels)), "m")


def test_the_order_of_labels_is_the_models(tmp_path):
    """The same weights under other names of the labels mean something else."""
    made = {}
    for order in (["entailment", "contradiction"], ["contradiction", "entailment"]):
        folder = save_model(tmp_path / order[0], order)
        made[order[0]] = open_nli(LoadedProject(Project(), tmp_path), folder.name).score_all([("The lamp is red.", {"name": "lamp"})])
    one, other = (m[0].probability for m in made.values())
    assert one + other == pytest.approx(1, abs=1e-3) and one != other


def test_a_judge_of_a_task_scores_what_the_rules_pass_and_rejects_nothing(judge):
    task = line_task(judge="nli")
    gates = Judge("line", task, scorers={"line": judge})
    said = [json.dumps({"line": s}) for s in ("The chair is oak and cheap.", "As an AI language model I cannot help.")]
    record = {"name": "chair", "colour": "oak", "price": "cheap"}
    good, refused = gates.check_all([Candidate(str(i), "line", f"s{i}", raw, None, record) for i, raw in enumerate(said)])
    (found,) = [f for f in good if f.gate == "factuality/nli"]
    assert found.passed and found.parts and found.field == "line" and found.quote == "The chair is oak and cheap."
    assert gates.whole(good) and gates.whole(refused) and not any(f.gate == "factuality/nli" for f in refused)
    assert not Judge("line", task, scorers={"line": judge}).whole([])
    assert gates.gate_id != Judge("line", task, scorers={"line": NliScorer("x", "another@1", 0)}).gate_id


def test_models_that_can_not_be_used_say_what_to_do(tmp_path):
    project = LoadedProject(Project(models={"mine": Nli(kind="nli", path="none"), "lm": {"kind": "replay", "path": "x"}}), tmp_path)
    for name, said in ((None, "lm: {nli: NAME}"), ("nowhere", "no folder beside it"), ("mine", "not there")):
        with pytest.raises(InputError, match=said):
            open_nli(project, name)
    with pytest.raises(InputError, match="kind"):
        (tmp_path / "x").write_text("")
        open_nli(project, "lm")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="config.json"):
        open_nli(project, "empty")
    folder = save_model(tmp_path / "broken", ["entailment", "neutral"])
    (folder / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(InputError, match="can't be loaded.*trained on entailment"):
        open_nli(project, "broken").score_all([("The lamp is red.", {"name": "lamp"})])
