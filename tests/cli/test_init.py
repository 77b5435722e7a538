"""`tokenrec init` makes a project that checks, loads, repeats exactly, and overwrites nothing."""

import csv
import io
import json

import pytest

from tokenrec.cli.init import make_project, sample_events
from tokenrec.cli.main import run
from tokenrec.errors import InputError, ServiceError
from tokenrec.recipe.load import load_recipe


def test_made_project_checks_and_has_lists_in_every_window(tmp_path):
    from tokenrec.dataset.lists import make_lists
    from tokenrec.dataset.load import load_dataset

    make_project(tmp_path / "shop")
    loaded = load_recipe(tmp_path / "shop" / "recipes" / "my_recipe.yaml")
    assert loaded.project.root == (tmp_path / "shop").resolve()
    dataset = load_dataset(loaded.recipe, loaded.folder)
    assert len(dataset.item_ids) == 24 and len(dataset.user_ids) == 80 and dataset.simulated and not dataset.notes
    assert all(len(make_lists(dataset, window)) >= 10 for window in range(1, 5))


def test_events_repeat_exactly_and_follow_tastes(tmp_path):
    make_project(tmp_path / "a")
    make_project(tmp_path / "b")
    text = (tmp_path / "a/data/events.csv").read_bytes()
    assert text == (tmp_path / "b/data/events.csv").read_bytes()
    plants = (tmp_path / "a/data/plants.jsonl").read_text(encoding="utf-8")
    assert sample_events(plants, seed=8) != text.decode()
    rows = list(csv.DictReader(io.StringIO(text.decode())))
    known = {json.loads(line)["plant_id"] for line in plants.splitlines()}
    assert {r["plant_id"] for r in rows} <= known
    assert [int(r["day"]) for r in rows] == sorted(int(r["day"]) for r in rows)


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(InputError, match=r"already holds README\.md"):
        make_project(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["README.md"]
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        make_project(tmp_path / "file")
    with pytest.raises(ServiceError, match="cannot be written"):
        make_project(tmp_path / "file" / "below")


def test_command_says_what_to_do_next(tmp_path, capsys):
    assert run(["init", str(tmp_path / "p")]) == 0
    assert "tokenrec compile recipes/my_recipe.yaml" in capsys.readouterr().out
    assert run(["recipe", "check", str(tmp_path / "p/recipes/my_recipe.yaml")]) == 0
    assert "character, taste" in capsys.readouterr().out
