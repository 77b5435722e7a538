"""`tokenrec export`: recorded completions for `kind: replay`, and tokens for any other tool."""

import csv
import json
from collections.abc import Callable, Iterator
from heapq import merge
from pathlib import Path
from typing import Any

import click

from tokenrec.cli.output import Out, common_options
from tokenrec.cli.stored import find_store, store_option
from tokenrec.errors import InputError
from tokenrec.files import whole
from tokenrec.tasks.overrides import read_overrides
from tokenrec.tasks.spec import TaskSpec, task_spec

FORMS = (".csv", ".parquet", ".jsonl")
BATCH = 5000  # rows of a Parquet group
ALIKE = 1e-5  # decision weights are rounded to six digits
FEWEST = 20  # answers that a calibration takes (tasks.program.calibrate)
WHOSE = ("task", "subject", "kind", "by")  # columns of every token; by: lm, or override where a person wrote it

Theirs = dict[str, dict[str, dict[str, Any] | None]]  # task -> what people wrote in the LM's place (tasks.overrides)


@click.command()
@click.argument("recipe", metavar="RECIPE")
@click.option("--completions", metavar="FILE.jsonl", type=click.Path(dir_okay=False),
              help="Every answer of the tasks' present programs, as `kind: replay` reads them.")
@click.option("--tokens", metavar="FILE", type=click.Path(dir_okay=False),
              help="The accepted outputs, a row a task and subject, and who wrote it: .csv, .parquet or .jsonl.")
@click.option("--features", metavar="PATH", type=click.Path(),
              help="The tokens as vectors: a FILE.parquet, or a folder of memory-mapped arrays to serve from.")
@click.option("--ab", metavar="TASK.OUTPUT FILE.csv", nargs=2,
              help="An A/B test of a rewritten name: item, old, new and program id (or override), a row an item.")
@store_option
@common_options
def command(
    out: Out, recipe: str, completions: str | None, tokens: str | None, features: str | None,
    ab: tuple[str, str] | None, store_path: str | None,
) -> None:  # fmt: skip
    """Write what the store holds of a recipe to files, for another machine or another tool.

    With `models: {tape: {kind: replay, path: FILE.jsonl}}` in tokenrec.yaml and `lm: {writer: tape}` in the recipe, a
    project with the same data gets the same tokens and arms without an LM. A file that exists is replaced, once the
    new one is whole. The files hold the ids of users that tasks are about.
    """
    if not completions and not tokens and not features and not ab:
        raise click.UsageError("name --completions FILE.jsonl, --tokens FILE, --features PATH or --ab TASK.OUTPUT FILE")
    if completions and Path(completions).suffix.lower() != ".jsonl":
        raise InputError(f"--completions {completions}: completions are JSON lines. name a file that ends in .jsonl")
    if tokens and Path(tokens).suffix.lower() not in FORMS:
        raise InputError(f"--tokens {tokens}: the form is not known. name a file that ends in {', '.join(FORMS)}")
    db, _, loaded = find_store(recipe, store_path)
    name = loaded.recipe.name
    doc: dict[str, Any] = {"kind": "export", "schema_version": 1, "recipe": name, "completions": None, "tokens": None,
                           "features": None, "ab": None}  # fmt: skip
    notes: list[str] = []
    try:
        db.execute("begin")  # one state of the store, though a run may be writing
        now = list(db.query("select * from current where recipe = ? order by task", [name]))
        if not now:
            raise InputError(f"{name}: nothing is written yet. run: tokenrec compile {recipe}")
        if completions:
            with whole(completions) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
                lines = sum(_completions(db, row, file.write, notes) for row in now)
            doc["completions"] = {"file": completions, "lines": lines}
        if tokens:
            # a judge's verdicts are no tokens
            specs = [task_spec(loaded.recipe, r["task"]) for r in now if r["task"] in loaded.recipe.tasks]
            theirs = {spec.name: read_overrides(spec, loaded.folder) for spec in specs}
            columns = _columns(db, specs, theirs)
            with whole(tokens) as partial:
                rows = WRITERS[Path(tokens).suffix.lower()](partial, columns, _tokens(db, specs, theirs, columns))
            doc["tokens"] = {"file": tokens, "rows": rows, "columns": [*WHOSE, *columns]}
        if ab:
            doc["ab"] = _ab(db, loaded, *ab)
        if features:
            db.execute("commit")  # texts that were never encoded are, and kept
            doc["features"] = _features(db, loaded, Path(features))
    finally:
        db.conn.close()
    for note in notes:
        out.say(f"note: {note}")
    out.emit(doc | {"notes": notes})
    if completions:
        out.print(f"wrote {doc['completions']['lines']:,} completions to {completions}")
    if tokens:
        out.print(f"wrote {doc['tokens']['rows']:,} tokens to {tokens}")
    if ab:
        out.print(f"wrote {doc['ab']['rows']:,} pairs to {ab[1]}")
    if features:
        out.print(f"wrote {doc['features']['rows']:,} vectors to {features}")


def _ab(db, loaded, what: str, path: str) -> dict[str, Any]:
    """Old and new name of every item that has an accepted new one, for whoever tests them on people.

    A name that a person wrote wins here too, and stands with `override` as its program.
    """
    recipe = loaded.recipe
    task, _, output = what.partition(".")
    known = [f"{n}.{o}" for n, t in recipe.tasks.items() if t.for_ == "item" for o, v in t.outputs.items()
             if v.type == "text"]  # fmt: skip
    if what not in known:
        raise InputError(f"--ab {what}: is no text about items. it has: {', '.join(known) or 'none'}")
    theirs, rows = read_overrides(task_spec(recipe, task), loaded.folder), 0
    made = {
        subject: (json.loads(said), program) for subject, said, program in db.execute(
            "select subject, output, program_id from tokens where recipe = ? and task = ?", [recipe.name, task])
    } | {subject: (said, "override") for subject, said in theirs.items()}  # fmt: skip
    with whole(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["item", "old", "new", "program_id"])
        for item, old in db.execute(
            "select s.subject, s.name from current r join subjects s using (recipe, task, program_id, lm_id)"
            " where recipe = ? and task = ? order by s.subject", [recipe.name, task],
        ):  # fmt: skip
            said, program = made.get(item, (None, None))
            if new := (said or {}).get(output):
                writer.writerow([item, old, new, program])
                rows += 1
    return {"file": path, "rows": rows}


def _features(db, loaded, path: Path) -> dict[str, Any]:
    from tokenrec.encoders.encoder import open_encoder
    from tokenrec.features.prestored import stored_vectors, write_folder, write_parquet

    recipe = loaded.recipe
    found = stored_vectors(db, recipe, open_encoder(loaded.project, recipe.lm.encoder), loaded.folder)
    if path.suffix.lower() == ".parquet":
        return {"path": str(path), "rows": write_parquet(path, found), "outputs": None}
    if path.is_file() or path.suffix:
        raise InputError(f"--features {path}: name a FILE.parquet, or a folder")
    written = write_folder(path, recipe.name, found)
    said = [{k: w[k] for k in ("task", "output", "n", "d", "version")} for w in written]
    return {"path": str(path), "rows": sum(w["n"] for w in written), "outputs": said}


def _completions(db, now: dict[str, Any], write: Callable[[str], Any], notes: list[str]) -> int:
    """Write one task's completions, those of present subjects, a line each; returns how many.

    Subjects of equal inputs share a completion: its line names the first of them, the others find it by its input.
    """
    key = [now["recipe"], now["task"], now["program_id"], now["lm_id"]]
    db.execute("drop table if exists temp.firsts")
    db.execute("create temp table firsts (subject text primary key, input_hash text, n integer) without rowid")
    db.execute(
        "insert into temp.firsts select min(subject), input_hash, count(*) from subjects where recipe = ? and task = ?"
        " and program_id = ? and lm_id = ? group by input_hash", key
    )  # fmt: skip
    model = now["lm_id"].rpartition("#")[0]
    synthetic = db.execute(
        "select 1 from subjects where recipe = ? and task = ? and program_id = ? and lm_id = ? and kind = 'synthetic'",
        key,
    ).fetchone()
    lines, means = 0, _Means()
    for subject, n, input_hash, sample, raw, first_raw, end, chances, *tokens in db.execute(
        "select f.subject, f.n, c.input_hash, c.sample, c.raw, c.first_raw, c.finish_reason, c.probabilities,"
        " c.prompt_tokens, c.completion_tokens from temp.firsts f join completions c on c.program_id = ?"
        " and c.lm_id = ? and c.input_hash = f.input_hash order by f.subject, c.sample", key[2:]
    ):  # fmt: skip
        line = {"task": now["task"], "subject": subject, "input_hash": input_hash, "sample": sample, "raw": raw}
        if first_raw is not None:
            line["first_raw"] = first_raw
        if end is not None:
            line["finish_reason"] = end
        if chances is not None:
            line["probabilities"] = json.loads(chances)
            means.add(line["probabilities"], n)
        if synthetic:
            line["synthetic"] = True
        line |= {"model": model, "prompt_tokens": tokens[0], "completion_tokens": tokens[1]}
        write(json.dumps(line, ensure_ascii=False) + "\n")
        lines += 1
    if means.differ(_weights(db, now["program_id"])):
        notes.append(f"{now['task']}: its choices were calibrated on other subjects than it has now. A replay "
                     "calibrates on all of them, and may choose otherwise for a few")  # fmt: skip
    return lines


class _Means:
    """Mean probability of every choice, by output: what a replay will make its decision weights of."""

    def __init__(self):
        self.sums: dict[str, dict[str, float]] = {}
        self.n: dict[str, int] = {}

    def add(self, chances: dict[str, dict[str, float]], times: int) -> None:
        for output, by_choice in chances.items():
            self.n[output] = self.n.get(output, 0) + times
            sums = self.sums.setdefault(output, {})
            for choice, p in by_choice.items():
                sums[choice] = sums.get(choice, 0.0) + p * times

    def differ(self, saved: dict[str, dict[str, float]]) -> bool:
        """Are the weights that these means give others than the saved ones?"""
        anew = {
            (o, c): 1 / (len(sums) * max(total / self.n[o], 1e-6))
            for o, sums in self.sums.items() if self.n[o] >= FEWEST for c, total in sums.items()
        }  # fmt: skip
        old = {(o, c): w for o, weights in saved.items() if o in self.sums for c, w in weights.items()}
        return old.keys() != anew.keys() or any(abs(anew[k] - w) > ALIKE * max(1, w) for k, w in old.items())


def _weights(db, program_id: str) -> dict[str, dict[str, float]]:
    (row,) = db.query("select state from programs where program_id = ?", [program_id])
    fields = [f for predictor in json.loads(row["state"]).values() for f in predictor.get("fields", {}).items()]
    return {output: said["weights"] for output, said in fields if said.get("weights")}


def _columns(db, specs: list[TaskSpec], theirs: Theirs) -> dict[str, tuple[str, str, str]]:
    """Column name → (task, output, type: list, number, text or json), as the tokens have it.

    An output that several tasks have is called task.output.
    """
    types: dict[tuple[str, str], set[str]] = {}
    for spec in specs:
        for output, kind in db.execute(
            "select e.key, e.type from tokens t, json_each(t.output) e where t.recipe = ? and t.task = ? group by 1, 2",
            [spec.recipe, spec.name],
        ):
            types.setdefault((spec.name, output), set()).add(kind)
        for output, value in (pair for said in theirs[spec.name].values() for pair in (said or {}).items()):
            kind = {list: "array", str: "text", float: "real"}.get(type(value), "json")
            types.setdefault((spec.name, output), set()).add(kind)
    names = [output for _, output in types]
    kinds = {"array": "list", "text": "text", "integer": "number", "real": "number"}
    made = {}
    for (task, output), found in types.items():
        known = {kinds.get(k, "json") for k in found if k != "null"}
        taken = names.count(output) > 1 or output in WHOSE
        made[f"{task}.{output}" if taken else output] = (task, output, known.pop() if len(known) == 1 else "json")
    return made


def _tokens(db, specs: list[TaskSpec], theirs: Theirs, columns: dict[str, tuple]) -> Iterator[list]:
    """One row a token, by task and subject: WHOSE, then the columns (None where they are another task's).

    What people wrote stands in the place of the LM's, also where it has written nothing.
    """
    for spec in specs:
        mine = [(output, kind) if task == spec.name else None for task, output, kind in columns.values()]
        people = theirs[spec.name]
        asked = db.execute(
            "select subject, kind, output from tokens where recipe = ? and task = ? order by subject",
            [spec.recipe, spec.name],
        )
        by_lm = ((s, kind, "lm", json.loads(output)) for s, kind, output in asked if s not in people)
        by_people = ((s, spec.kind, "override", output) for s, output in sorted(people.items()) if output is not None)
        for *whose, said in merge(by_lm, by_people, key=lambda row: row[0]):
            yield [spec.name, *whose, *[c and _value(said.get(c[0]), c[1]) for c in mine]]


def _value(value: Any, kind: str) -> Any:
    if value is None or kind in ("text", "list", "number"):
        return value
    return json.dumps(value, ensure_ascii=False)


def _csv(path: Path, columns: dict[str, tuple], rows: Iterator[list]) -> int:
    n = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*WHOSE, *columns])
        for n, row in enumerate(rows, 1):  # noqa: B007 - counted
            writer.writerow([json.dumps(v, ensure_ascii=False) if isinstance(v, list) else v for v in row])
    return n


def _jsonl(path: Path, columns: dict[str, tuple], rows: Iterator[list]) -> int:
    n, names = 0, [*WHOSE, *columns]
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for n, row in enumerate(rows, 1):  # noqa: B007 - counted
            said = {k: v for k, v in zip(names, row, strict=True) if v is not None}
            file.write(json.dumps(said, ensure_ascii=False) + "\n")
    return n


def _parquet(path: Path, columns: dict[str, tuple], rows: Iterator[list]) -> int:
    from itertools import islice

    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {"list": pa.list_(pa.string()), "number": pa.float64(), "text": pa.string(), "json": pa.string()}
    fields = [(n, pa.string()) for n in WHOSE] + [(n, types[c[2]]) for n, c in columns.items()]
    schema, n = pa.schema(fields), 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        while batch := list(islice(rows, BATCH)):
            arrays = [pa.array(v, f.type) for v, f in zip(zip(*batch, strict=True), schema, strict=True)]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
            n += len(batch)
    return n


WRITERS = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}
