"""`tokenrec prune`: earlier prompts go, and nothing that a text, a figure, a resumed run or a lock rests on."""

import hashlib
import io
import json
import shutil

import pytest

from tests.end_to_end.server import sensible, serving
from tests.end_to_end.test_main_job import holds
from tests.end_to_end.test_plan import edit, files
from tests.end_to_end.worlds import contents, sound, store, tokenrec
from tokenrec.cli import main as cli_main
from tokenrec.cli.prune import _TEXTS, MARKS
from tokenrec.store.lock import only_run
from tokenrec.store.store import open_store

LINE, LATER = "write: A menu line.", "write: A menu line, from the last to the first."
KEPT = ("current", "tokens", "subjects", "programs", "windows", "lists", "metrics")


def backwards(text: str) -> str:
    """Other lines about the same dishes, but for a few of which it has the old ones."""
    said = json.loads(sensible(text))
    if "line" in said and len(said["line"]) % 3:
        said["line"] = " with ".join(reversed(said["line"].rstrip(".").split(" with "))) + "."
    return json.dumps(said)


@pytest.fixture(scope="session")
def edited(served, tmp_path_factory):
    """The served project after an edit of a prompt: its store holds an earlier program's answers."""
    root = tmp_path_factory.mktemp("edited") / "p"
    shutil.copytree(served.root, root)
    edit(root / "recipe.yaml", LINE, LATER)
    compile_(root, backwards)
    return root


@pytest.fixture
def root(edited, tmp_path):
    shutil.copytree(edited, tmp_path / "p")
    return tmp_path / "p"


def compile_(root, answer, *args, code=0):
    text = (root / "tokenrec.yaml").read_text()
    with pytest.MonkeyPatch.context() as patch, serving(answer) as server:
        patch.setenv("CLI_KEY", "sk-another")
        before = text[text.index("'http") + 1 : text.index("/v1'")] + "/v1"
        (root / "tokenrec.yaml").write_text(text.replace(before, server.url))
        got, document, said = tokenrec("compile", root / "recipe.yaml", *args)
        assert got == code, said
        return document, len(server.requests)


def prune(root, *args, code=0):
    got, document, said = tokenrec("prune", root / "recipe.yaml", *args)
    assert got == code, said
    holds(document)
    return document, said


def change(root, *statements):
    db = store(root)
    for statement, *values in statements:
        assert db.execute(statement, values).rowcount
    db.commit()
    db.close()


def bytes_of(root) -> dict[str, bytes]:
    """All files but SQLite's empty log, which comes and goes with whoever reads."""
    return {name: data for name, data in files(root).items() if data or not name.endswith("-wal")}


def old_program(root) -> tuple[str, str]:
    """(program, LM) of the menu lines before the edit."""
    (row,) = store(root).execute(
        "select distinct program_id, lm_id from completions where task = 'menu_line' and program_id not in"
        " (select program_id from current)"
    )  # fmt: skip
    return tuple(row)


def removed(document) -> dict[str, int]:
    return {table: n for table, n in document["removed"].items() if n}


def test_an_earlier_prompts_answers_go_and_nothing_else_changes(root):
    program, _ = old_program(root)
    before, spent = contents(root), [tuple(r) for r in store(root).execute("select * from spend")]
    old = [r for r in store(root).execute("select * from completions where program_id = ?", [program])]
    texts = {json.loads(r["output"])["line"] for r in old if r["output"]}
    also = {json.loads(r[0])["line"] for r in store(root).execute(
        "select output from completions where task = 'menu_line' and program_id <> ? and output is not null", [program]
    )}  # fmt: skip
    assert texts & also and texts - also
    whole = bytes_of(root)
    planned, _ = prune(root, "--dry-run")
    assert bytes_of(root) == whole and planned["dry_run"] and planned["freed_megabytes"] is None

    document, said = prune(root, "--yes")
    assert document["removed"] == planned["removed"] and document["removed"]["completions"] == len(old) == 26
    assert document["removed"]["failures"] == 1  # the answer came in the second run
    assert document["removed"]["subjects"] == 24 and document["removed"]["vectors"] == len(texts - also)
    assert document["pay_again"] == {"calls": 29, "prompt_tokens": 2900, "completion_tokens": 290,
                                     "cost_usd": pytest.approx(29 * 280e-6)} == planned["pay_again"]  # fmt: skip
    assert document["freed_megabytes"] > 0.9 * document["megabytes"] > 0 and "29 calls, 3,190 LM tokens" in said
    db, after = store(root), contents(root)
    assert sound(db) and [tuple(r) for r in db.execute("select * from spend")] == spent
    for table in KEPT:
        mine = [r for r in before[table] if table == "subjects" and program in r]
        assert after[table] == [r for r in before[table] if r not in mine], table
    assert {r[0] for r in db.execute("select program_id from completions")} == {r[2] for r in after["current"]}
    hashes = {r[0] for r in db.execute("select text_hash from vectors")}
    assert {hashlib.sha256(t.encode()).hexdigest() for t in also} <= hashes
    assert tokenrec("cost", root / "recipe.yaml")[1]["total"]["calls"] == sum(r[5] for r in spent)

    assert prune(root, "--yes")[0]["freed_megabytes"] is None  # nothing is left to remove: nothing is asked or done
    _, asked = compile_(root, sensible)
    assert asked == 0
    edit(root / "recipe.yaml", LATER, LINE)
    assert tokenrec("plan", root / "recipe.yaml")[1]["tasks"][1]["calls"] == 24


def test_what_a_test_a_search_a_lock_or_a_label_refers_to_is_kept(root):
    program, _ = old_program(root)
    query = "select program_id, (select min(run) from runs) from current where task = 'menu_line'"
    now, run = store(root).execute(query).fetchone()
    promotion = (
        "insert into promotions (recipe, task, incumbent, challenger, promoted) values ('small', 'menu_line', ?, ?, 0)"
    )
    search = "insert into searches values ('s', 'small', 'menu_line', ?, '{}', ?)"
    lock = next((root / "programs/compiled/small").glob("menu_line@*.json"))
    committed = json.loads(lock.read_text())

    def kept(*statements, undo: str) -> bool:
        change(root, *statements)
        gone = prune(root, "--dry-run")[0]["removed"]
        change(root, [undo])
        assert gone["completions"] in (0, 26)
        return not gone["completions"]

    assert kept([promotion, now, program], undo="delete from promotions")
    assert kept([promotion, program, now], undo="delete from promotions")
    assert not kept([promotion, program, "another"], undo="delete from promotions")  # of an earlier prompt
    assert kept([search, run, "9999"], undo="delete from searches")
    assert not kept([search, run, "2000"], undo="delete from searches")  # older than the present program
    other = lock.with_name("menu_line@another.json")
    for fields in ({"program_id": program}, {"source_id": program}):
        other.write_text(json.dumps(committed | fields))
        assert removed(prune(root, "--dry-run")[0]) == {"failures": 1}
        other.write_text(json.dumps(committed | fields | {"lm_id": "openai/large"}))
        assert removed(prune(root, "--dry-run")[0])["completions"] == 26
    other.write_text("{}")
    assert "no compiled program" in prune(root, "--dry-run", code=2)[0]["message"]
    other.unlink()
    label = (
        "insert into audits select 'a', 'small', task, completion_id, '', output, 'sound', '', '', '', null, null from completions"
    )
    change(root, [f"{label} where program_id = ? limit 1", program])
    document, _ = prune(root, "--yes")
    db = store(root)
    assert document["removed"]["completions"] == 25 and document["removed"]["subjects"] == 0 and sound(db)
    assert db.execute("select 1 from audits join completions using (completion_id)").fetchone()


def test_another_lm_and_other_settings_are_earlier_answers_too(root):
    """The present LM's lock names the program, and not the temperature that it had."""
    change(root, ["update current set lm_id = 'openai/small#hotter' where task = 'flavour'"])
    assert removed(prune(root, "--dry-run")[0])["completions"] == 26 + 24
    change(root, ["update current set lm_id = 'openai/large#hotter' where task = 'flavour'"])
    assert removed(prune(root, "--dry-run")[0])["completions"] == 26  # the lock of the LM before keeps its answers


def test_a_run_that_was_stopped_finds_all_its_answers(root):
    edit(root / "recipe.yaml", LATER, "write: A menu line for children.")
    compile_(root, sensible, "--calls", "5", code=3)
    document, said = prune(root, "--yes")
    assert removed(document) == {} and "small: all of it is kept" in document["notes"][0] and "did not finish" in said


def test_failures_and_the_rows_of_runs_before_the_newest(root):
    first, last = (r[0] for r in store(root).execute("select run from runs order by rowid"))
    (root / ".tokenrec/scores-earlier.parquet").write_bytes(b"PAR1" * 9999)
    change(
        root,
        ["insert into lists values (?, 1, 'test', 'u001')", first],
        ["insert into metrics values (?, 'placebo', 'all', 1, 'ndcg@10', 0.5)", first],
        ["insert into files values (?, 'scores', 'scores-earlier.parquet', '')", first],
        ["insert into files values (?, 'more', 'scores-small.parquet', '')", first],
        ["insert into failures (task, subject, program_id, lm_id, input_hash, sample, error, created) select task, '',"
         " program_id, lm_id, input_hash, sample, 'answered since', '' from completions where task = 'palate' limit 1"],
    )  # fmt: skip
    document, _ = prune(root, "--yes")
    found = {t: document["removed"][t] for t in ("lists", "metrics", "files", "failures")}
    assert found == {"lists": 1, "metrics": 1, "files": 2, "failures": 2}
    assert document["files"] == ["scores-earlier.parquet"] and document["freed_megabytes"] > 0.035
    assert [p.name for p in (root / ".tokenrec").glob("*.parquet")] == ["scores-small.parquet"]
    db = store(root)
    assert [r[0] for r in db.execute("select distinct run from lists")] == [last]
    assert not db.execute("select 1 from failures").fetchone()


def test_it_asks_first_and_waits_for_no_run(root, monkeypatch, capsys):
    before = (root / ".tokenrec/store.db").read_bytes()
    for answer in ("n\n", ""):
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        document, said = prune(root, code=2)
        assert "nothing was removed" in document["message"] and "26 completions" in said and "cost $0.00812" in said
    with only_run(root / ".tokenrec/store.db", "small"):
        document, _ = prune(root, "--yes", code=4)
        assert "another run" in document["message"]
    assert (root / ".tokenrec/store.db").read_bytes() == before
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert cli_main.run(["prune", str(root / "recipe.yaml")]) == 0
    assert "MB less" in capsys.readouterr().out
    assert cli_main.run(["prune", str(root / "recipe.yaml")]) == 0
    assert "nothing to remove" in capsys.readouterr().out


def test_without_a_recipe_it_is_the_project_of_the_working_folder(root, tmp_path, monkeypatch):
    change(root, ["update completions set cost_usd = null where run = (select min(run) from runs)"])
    monkeypatch.chdir(root)
    code, document, _ = tokenrec("prune", "--dry-run")
    holds(document)
    assert code == 0 and document["recipe"] is None and document["removed"]["completions"] == 26
    assert document["pay_again"]["cost_usd"] is None
    monkeypatch.chdir(tmp_path)
    code, document, _ = tokenrec("prune", "--store", root / ".tokenrec/store.db", "--yes")
    assert code == 2 and "name a RECIPE" in document["message"] and old_program(root)


def test_a_prune_that_was_stopped_before_it_wrote_the_store_anew_is_finished_by_the_next(root):
    prune(root, "--yes")
    change(root, ["delete from vectors"])
    document, _ = prune(root, "--yes")
    assert not any(document["removed"].values()) and document["freed_megabytes"] > 0


def test_another_projects_answers_stay(root, tmp_path, monkeypatch):
    """Its locks are not seen from here, whether its recipe is named or not."""
    other = tmp_path / "other"
    other.mkdir()
    told = (root / "tokenrec.yaml").read_text() + f"\nstore: {root / '.tokenrec/store.db'}\n"
    (other / "tokenrec.yaml").write_text(told)
    monkeypatch.chdir(other)
    code, document, said = tokenrec("prune", "--dry-run")
    assert code == 0 and not document["removed"]["completions"] and "no recipe of this project" in said
    (other / "tokenrec.yaml").write_text((root / "tokenrec.yaml").read_text())
    for name in ("recipe.yaml", "dishes.jsonl", "events.csv"):
        if (root / name).exists():
            shutil.copy(root / name, other)
    code, _, said = tokenrec("prune", other / "recipe.yaml", "--store", root / ".tokenrec/store.db", "--dry-run")
    assert code == 2 and "not the store of the project" in said


def test_vectors_of_what_is_left_of_a_text_go_with_it_and_stay_while_another_says_it():
    db = open_store(":memory:")
    db.execute("pragma foreign_keys = off")
    db.conn.create_function("sha256", 1, lambda text: text)
    row = "insert into completions (completion_id, program_id, lm_id, input_hash, sample, task, inputs, raw, output, kept, prompt_tokens, completion_tokens, calls, created) values (?, 'p', 'l', ?, 0, 't', '{}', '', ?, ?, 0, 0, 0, '')"
    for key, output, kept in (("0", "old whole", "old left"), ("1", "new whole", "new left"), ("2", "new left", None)):
        db.execute(row, [key, key, json.dumps({"a": output}), kept and json.dumps({"a": kept})])
    db.execute("create temp table gone as select '0' as completion_id union select '2'")
    assert {r[0] for r in db.execute(MARKS["texts"].format(_TEXTS, _TEXTS))} == {"old whole", "old left"}
