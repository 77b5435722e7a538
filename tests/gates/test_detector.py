"""The trained detector: probabilities on any input, what raises and lowers them, its weights, its benchmark."""

import gzip
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenrec.errors import InputError
from tokenrec.gates.factuality.dates import clocks, dates, meets, weekday_of
from tokenrec.gates.factuality.detector import WEIGHTS, load_detector
from tokenrec.gates.factuality.facts import Facts, flatten
from tokenrec.gates.factuality.sides import Sides
from tokenrec.gates.factuality.slots import Catalogue, slots
from tokenrec.gates.factuality.swapped import Glue

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"
BENCHMARK = ROOT / "evals" / "benchmarks" / "factuality.py"

GAME = {
    "homeTeam": {"name": "HK Prizma", "country": "Latvia"},
    "awayTeam": {"name": "HK Kurbads", "country": "Latvia"},
    "homeScore": {"current": 6, "period1": 3, "period2": 3},
    "awayScore": {"current": 2, "period3": 2},
}
JUDGE = [
    "Reinhold Schultz country of citizenship: Germany",
    "Reinhold Schultz occupation: judge",
    "Reinhold Schultz place of birth: Wanzleben",
    "Reinhold Schultz place of death: Leipzig",
    "Reinhold Schultz",
]

PEOPLE = [
    {"name": name, "occupation": job, "place of birth": born, "year of birth": year}
    for name, job, born, year in [
        ("Anna Weiss", "painter", "Linz", 1931), ("Tom Hale", "sailor", "Dover", 1954), ("Ines Roca", "chemist", "Lugo", 1947),
        ("Karl Brandt", "painter", "Kassel", 1922), ("Maria Silva", "sculptor", "Porto", 1939), ("Jan Novak", "chemist", "Brno", 1961),
    ]
]  # fmt: skip

scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=40))
records = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(st.text(max_size=12), inner, max_size=5)),
    max_leaves=20,
)
claims = st.lists(
    st.sampled_from(
        ["On January 5th", "13/02/2024", "2024-99-99", "from 3 to -7.5", "٣", "1e400", "9" * 400, "7:99 pm", "home won 3-2",
         "twice", "no goals in the second period", "steadily rose", "peak of 5", "Wednesday", "，。", "\ud83d\ude00", "x" * 3000]
    ),
    max_size=6,
).map(" ".join)  # fmt: skip


@pytest.fixture(scope="module")
def detector():
    return load_detector()


@settings(max_examples=150)
@given(text=st.one_of(st.text(max_size=200), claims), record=records)
def test_any_text_and_record_get_probabilities_and_verbatim_quotes(text, record):
    found = load_detector().score(text, record)
    assert 0 <= found.probability <= 1
    for s in found.sentences:
        assert 0 <= s.probability <= 1 and text[s.start : s.end] == s.quote
    assert all(s.probability >= found.threshold for s in found.suspects())


@settings(max_examples=60)
@given(text=st.one_of(st.text(max_size=200), claims), record=records, others=st.lists(records, max_size=4))
def test_any_catalogue_gives_scores_of_swapped_values_quoted_verbatim(text, record, others):
    found = load_detector().score(text, record, Catalogue(others))
    for s in found.sentences:
        assert 0 <= s.contradicted <= 1 and s.value in s.quote
    assert all(s.contradicted >= found.swap_threshold for s in found.contradictions())


@pytest.mark.parametrize(
    "sound, swapped, value",
    [
        ("Anna Weiss was a painter born in Linz in 1931.", "Anna Weiss was a chemist born in Linz in 1931.", "chemist"),
        ("Anna Weiss was a painter born in Linz in 1931.", "Anna Weiss was a painter born in Porto in 1931.", "Porto"),
        ("Tom Hale, a sailor, was born in Dover.", "Tom Hale, a sculptor, was born in Dover.", "sculptor"),
    ],
)
def test_the_value_of_another_record_is_named_as_swapped(detector, sound, swapped, value):
    record = next(p for p in PEOPLE if p["name"] in sound)
    catalogue = Catalogue(PEOPLE)
    [before], [after] = (detector.score(t, record, catalogue).sentences for t in (sound, swapped))
    assert after.value == value and after.contradicted > before.contradicted


def test_slots_are_numbers_dates_names_and_words_that_the_record_lacks():
    text = "In 1931 Anna Weiss sold 12 etchings to Ines Roca."
    found = {text[s.start : s.end]: s for s in slots(text, Facts(PEOPLE[0]), Catalogue(PEOPLE))}
    assert {"1931", "Anna Weiss", "12", "etchings", "Ines Roca"} <= found.keys()
    assert found["Anna Weiss"].words == () and found["Ines Roca"].words == ("ine", "roca")


def test_a_word_seen_in_the_text_at_hand_alone_counts_as_never_seen():
    glue = Glue(9, {"feature": 2})
    assert glue.rarity("feature") < glue.rarity("feature", itself=1) == glue.rarity("unheard")


def test_rows_of_a_table_are_cells_and_thousands_are_one_number():
    facts = Facts(["date,value", "1950,54.4", "2021-02-25,0.09", "12,345 people"])
    assert sorted(q.value for q in facts.numbers) == [0.09, 54.4, 12345]
    assert facts.order == [(1950, 0, 0), (2021, 2, 25)]


def test_hostile_sizes_and_nesting_are_cut_not_feared(detector):
    deep = "bottom"
    for _ in range(5000):
        deep = [deep]
    assert 0 <= detector.score("It is deep.", deep).probability <= 1
    wide = {f"key {i}": list(range(50)) for i in range(5000)}
    assert 0 <= detector.score("There are 7 of 9. " * 5000, wide).probability <= 1


def test_same_input_same_answer_alone_or_in_company(detector):
    pairs = [("HK Prizma won 6-2.", GAME), ("", GAME), ("He was a judge from Germany.", JUDGE)]
    together = detector.score_all(pairs)
    assert together[1].probability == 0 and not together[1].sentences
    for pair, found in zip(pairs, together):
        assert detector.score(*pair).probability == pytest.approx(found.probability, abs=1e-6)


@pytest.mark.parametrize(
    "sound, wrong",
    [
        ("Reinhold Schultz was a judge from Germany.", "Reinhold Schultz was a famous Austrian tennis champion."),
        ("Reinhold Schultz died in Leipzig.", "Reinhold Schultz died in 1951 at the age of 84 in Munich."),
        ("Reinhold Schultz was born in Wanzleben.", "Reinhold Schultz is best known for his many popular novels."),
    ],
)
def test_what_the_record_bears_out_is_less_suspect(detector, sound, wrong):
    assert detector.score(sound, JUDGE).probability < detector.score(wrong, JUDGE).probability


@settings(max_examples=25)
@given(st.sampled_from(["He was a renowned novelist from Vienna.", "The band released 12 albums in 1999.",
                        "The phone has a removable battery and a camera.", "It is home to several notable lakes."]))  # fmt: skip
def test_a_sentence_that_stands_in_the_record_is_not_more_suspect(text):
    before = load_detector().score(text, JUDGE).sentences[0].probability
    after = load_detector().score(text, [*JUDGE, text]).sentences[0].probability
    assert after <= before + 0.05


def test_a_contest_knows_who_won_and_in_which_period():
    sides = Sides(Facts(GAME))
    assert sides.features("HK Kurbads won the game.")["winner_wrong"] == 1
    assert sides.features("Prizma won the game.")["winner_wrong"] == 0
    assert sides.features("It ended 6-2.")["pair_wrong"] == 0 and sides.features("It ended 5-1.")["pair_wrong"] == 1
    assert sides.features("Prizma scored three goals in the first period.")["goals_wrong"] == 0
    assert sides.features("Kurbads scored two goals in the first period.")["goals_wrong"] == 1
    assert sides.features("The third period was scoreless.")["blank_wrong"] == 1
    assert all(math.isnan(v) for v in Sides(Facts(JUDGE)).features("Schultz won 6-2.").values())


def test_records_flatten_to_facts_by_path_and_by_row():
    assert flatten({"homeTeam": {"name": "HK Prizma"}, "wet": False}) == ["home Team name: HK Prizma", "wet: no"]
    assert flatten([{"t": 1, "dayTime": "noon"}, {"t": 2}]) == ["t 1, day Time noon", "t 2"]
    assert Facts({"temp": 12.67}).near(12.7, 1)[0] == 1 and Facts({"temp": 12.67}).near(14.0, 1)[0] == 0


def test_dates_and_times_are_read_as_far_as_they_are_named():
    found = dates("On January 5th, from Sept 2020 to 3 May 2021, in 1999, on 2024-01-03.")
    assert [d.known for d in found] == [(0, 1, 5), (2020, 9, 0), (2021, 5, 3), (1999, 0, 0), (2024, 1, 3)]
    assert meets((0, 1, 5), (2024, 1, 5)) and not meets((0, 1, 5), (2024, 1, 6))
    assert weekday_of((2024, 1, 3)) == 2 and weekday_of((2024, 2, 31)) is None
    assert clocks("at 7:30 pm or 12 a.m.") == [(19, 30), (0, 0)]


def test_broken_weights_say_so(tmp_path):
    (tmp_path / "detector.json").write_text("{}")
    with pytest.raises(InputError, match="weights"):
        load_detector(tmp_path)


def test_weights_are_json_and_the_card_names_their_data():
    card = (WEIGHTS.parent / "MODEL_CARD.md").read_text(encoding="utf-8")
    for path in WEIGHTS.iterdir():
        assert path.suffix == ".json" and json.loads(path.read_text(encoding="utf-8"))
    for digest in (v for v in json.loads((WEIGHTS / "detector.json").read_text())["data"].values() if isinstance(v, str)):
        assert digest in card


def test_xgboost_is_imported_late():
    code = "import sys, tokenrec.gates.factuality.detector; sys.exit('xgboost' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def quintd():
    path = SHARED / "quintd" / "responses.jsonl.gz"
    if not path.exists():
        pytest.skip("../shared/data/quintd is not here")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def run(*args):
    return subprocess.run([sys.executable, BENCHMARK, *map(str, args)], capture_output=True, text=True, cwd=ROOT)


def test_the_benchmark_refuses_what_the_weights_were_trained_on():
    quintd()
    done = run(SHARED / "quintd", "--json")
    assert done.returncode != 0 and "--crossval" in done.stderr and not done.stdout


def test_the_benchmark_judges_any_folder_of_that_layout(tmp_path):
    rows = quintd()[::12]
    (tmp_path / "responses.jsonl").write_text("\n".join(map(json.dumps, rows)))
    done = run(tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {"sentence_auroc", "response_auroc", "ece", "f1", "f1_low", "all_positive_f1", "by_domain"} <= found.keys()
    assert set(found["by_domain"]) == {r["domain"] for r in rows} and found["sentence_auroc"] > 0.7


def test_errors_planted_in_real_texts_raise_the_risk(detector):
    sys.path.insert(0, str(ROOT / "evals"))
    from swaps import swaps

    clean = [r for r in quintd() if not r["human_spans"] and r["text"].strip()][::3]
    made = swaps([r["text"] for r in clean], [r["facts"] for r in clean], [r["domain"] for r in clean])
    worse = [
        detector.score(s.text, clean[s.source]["facts"]).probability
        > detector.score(clean[s.source]["text"], clean[s.source]["facts"]).probability
        for s in made
        if s.kind in ("number", "name")
    ]
    assert len(worse) > 40 and sum(worse) / len(worse) > 0.7
