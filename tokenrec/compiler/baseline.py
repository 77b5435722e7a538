"""What is known of the data before any text is written: lists, behaviour, raw_text, and the lift they could show."""

from typing import Any

from tokenrec.compiler.session import Session, embed_items
from tokenrec.dataset.types import FIT, TEST, TUNE_A, TUNE_B
from tokenrec.errors import InputError
from tokenrec.evidence.arms import measure_arms
from tokenrec.evidence.power import promotion_alpha, smallest_lift
from tokenrec.ranking.metrics import members
from tokenrec.ranking.ranker import choose_settings


def prepare_baseline(session: Session, stages) -> dict[str, Any]:
    """Encode the source texts, make the lists, choose the ranker's settings; the smallest lifts that could be shown.

    No LM is asked. Raises InputError when a window is empty.
    """
    with stages.stage("encode source texts", len(session.dataset.item_ids)) as bar:
        embed_items(session, bar.count)
    with stages.stage("lists and behaviour", 4) as bar:
        session.make_lists()
        for window in (FIT, TUNE_A, TUNE_B, TEST):
            if not len(session.lists[window]):
                raise InputError(
                    f"{session.recipe.name}: no user has a like in one of the windows fit, tune, test. "
                    "More events, or other shares under data.split, are needed"
                )
            session.behaviour(window)
            bar.step()
    return settings_and_power(session, stages)


def settings_and_power(session: Session, stages) -> dict[str, Any]:
    """Choose the ranker's settings on tune-A with the raw_text arm, the baseline; estimate the power.

    A user's own ranker has its own settings.
    """
    objective = session.recipe.objective
    with stages.stage("your ranker on tune-A" if session.recipe.reward else "ranker settings on tune-A", 2) as bar:
        fit = [session.behaviour(FIT), session.columns("raw_text", FIT, [session.raw])]
        tune = [session.behaviour(TUNE_A), session.columns("raw_text", TUNE_A, [session.raw])]
        fit_lists, tune_lists = session.lists[FIT], session.lists[TUNE_A]
        if not session.recipe.reward:
            session.settings, _ = choose_settings(
                fit, fit_lists, tune, tune_lists, objective.metric, objective.slice, session.recipe.ranker.negatives
            )
        bar.step()
        blocks = {"behaviour": (fit[0], tune[0]), "raw_text": (fit[1], tune[1])}
        arms = {"behaviour": ["behaviour"], "raw_text": ["behaviour", "raw_text"]}
        scores = measure_arms(session.dataset, fit_lists, tune_lists, blocks, arms, session.settings, [0, 1, 2])
        bar.step()
    paired = scores.per_list("raw_text", objective.metric, objective.slice) - scores.per_list(
        "behaviour", objective.metric, objective.slice
    )
    n_test, n_tune_a, n_tune_b = (members(session.lists[w], objective.slice) for w in (TEST, TUNE_A, TUNE_B))
    return {
        "evidence": smallest_lift(paired, n_test),
        "promotion": smallest_lift(paired, n_tune_b, promotion_alpha(1)),
        "n_test": n_test,
        "n_tune_b": n_tune_b,
        "n_tune_a": n_tune_a,
    }
