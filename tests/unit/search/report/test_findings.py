"""What a search says of its trials, from trials that were written down by hand."""

import tomllib

import pytest

from engine.search.report import findings, words
from engine.search.report.figure import history_figure
from engine.search.report.winner import winning_study
from engine.search.search import SearchResult
from engine.search.space import Space
from engine.search.trial_book import Measured, Trial
from engine.study.load import load_study

STUDY = """
repeats = 3
[search]
rungs = [10, 30]
[factors]
strategy = ["zero_shot", "topic"]
temperature = {low = 0.3, high = 1.2}
"""


def measured(rows, score, tokens=100.0, test=(0.5, 0.6, 0.7), train_s=1.0):
    return Measured(rows, score, test, len(test), tokens, 2.0, train_s)


@pytest.fixture
def searched(study):
    """Return a search of these trials: number, strategy, temperature, standing, measurements."""
    file = study(STUDY)
    space = Space(file)

    def made(*rows, troubles=()):
        trials = {
            number: Trial(number, {"strategy": strategy, "temperature": t}, rungs, standing)
            for number, strategy, t, standing, rungs in rows
        }
        asked = {
            (one.number, own.rows): space.condition(one.point, own.rows)
            for one in trials.values()
            for own in one.rungs
        }
        return SearchResult(file, space, trials, None, asked, 2, 0.5, list(troubles))

    return made


def test_the_winner_is_the_best_on_validation_at_the_highest_rung(searched):
    found = searched(
        (0, "topic", 0.3, "stopped", [measured(10, 0.99)]),
        (1, "topic", 0.5, "whole", [measured(10, 0.7), measured(30, 0.8, test=(0.1,))]),
        (2, "zero_shot", 0.5, "whole", [measured(10, 0.8), measured(30, 0.79, test=(0.9,))]),
        (3, "zero_shot", 0.6, "whole", [measured(10, 0.8), measured(30, 0.8, test=(1.0,))]),
    )
    trial, at = findings.winner(found)
    assert (trial.number, at.rows, at.score) == (1, 30, 0.8)
    assert findings.winner(searched()) is None
    assert words.summary(searched()) == ["Nothing was measured."]


def test_the_front_has_what_no_other_is_better_and_cheaper_than(searched):
    found = searched(
        (0, "topic", 0.3, "whole", [measured(10, 0.5, 10), measured(30, 0.7, 30)]),
        (1, "topic", 0.5, "whole", [measured(10, 0.6, 20), measured(30, 0.6, 60)]),
        (2, "zero_shot", 0.5, "stopped", [measured(10, 0.5, 20)]),
        (3, "zero_shot", 0.6, "stopped", [measured(10, 0.6, 20)]),
    )
    front = findings.front(found, findings.tokens_of)
    assert [(one.trial.number, one.measured.rows) for one in front] == [(0, 10), (1, 10), (0, 30)]


def test_seconds_are_of_engines_once_and_of_all_trainings_so_far(searched):
    rungs = [measured(10, 0.5, train_s=1.0), measured(30, 0.5, train_s=4.0)]
    trial = searched((0, "topic", 0.3, "whole", rungs)).trials[0]
    assert findings.seconds_of(trial, rungs[0]) == 3.0
    assert findings.seconds_of(trial, rungs[1]) == 7.0


def test_each_rung_says_what_became_of_its_trials(searched):
    found = searched(
        (0, "topic", 0.3, "whole", [measured(10, 0.5), measured(30, 0.7)]),
        (1, "topic", 0.5, "stopped", [measured(10, 0.6)]),
        (2, "zero_shot", 0.5, "failed", []),
        (3, "zero_shot", 0.6, "short", [measured(10, 0.6), measured(30, 0.2)]),
        troubles=["An engine was lost."],
    )
    assert findings.fates(found) == [
        (10, {"measured": 3, "went on": 2, "stopped": 1}),
        (30, {"measured": 2, "went on": 0, "whole": 1, "short": 1}),
    ]
    told = words.problems(found)
    assert told[0] == "An engine was lost."
    assert told[1].startswith("Trial 2 (strategy zero_shot, temperature 0.5) came to nothing")
    assert "ran short of rows at 30 rows" in told[2]


def test_what_it_took_is_set_beside_the_same_trials_at_the_last_rung(searched):
    found = searched(
        (0, "topic", 0.3, "whole", [measured(10, 0.5, 100), measured(30, 0.7, 300)]),
        (1, "topic", 0.5, "stopped", [measured(10, 0.6, 120)]),
    )
    own, whole = findings.took(found), findings.would_take(found)
    # without a plan all trials count as of one pool
    assert own == (2, 30, (10 + 30 + 10) * 3, 300, 2.0 + 3.0)
    assert whole == (2, 30, 2 * 30 * 3, 360, 6.0 + 2.0)


def test_a_factor_that_decides_the_score_has_its_share_and_parts(searched):
    rows = []
    for number in range(24):
        strategy = ("zero_shot", "topic")[number % 2]
        score = 0.5 + 0.3 * (strategy == "topic") + 0.01 * (number % 5)
        rows.append((number, strategy, 0.3 + 0.0375 * number, "stopped", [measured(10, score)]))
    strategy, temperature = findings.factors_found(searched(*rows))
    assert strategy.share > 0.8 > 0.2 > temperature.share
    assert [(part.level, part.trials) for part in strategy.parts] == [
        ("zero_shot", 12),
        ("topic", 12),
    ]
    assert strategy.parts[1].score - strategy.parts[0].score == pytest.approx(0.3, abs=0.02)
    assert [part.level for part in temperature.parts] == ["0.3 to 0.6", "0.6 to 0.9", "0.9 to 1.2"]
    few = findings.factors_found(searched(*rows[:4]))
    assert [one.share for one in few] == [None, None]


def test_the_summary_has_the_interval_on_test_and_what_was_saved(searched):
    found = searched(
        (0, "topic", 0.3, "whole", [measured(10, 0.5, 100), measured(30, 0.7, 300)]),
        (1, "topic", 0.5, "stopped", [measured(10, 0.6, 120)]),
    )
    told = words.summary(found)
    assert (
        "strategy topic, temperature 0.3; at 30 rows its accuracy is 60.0 [35.2, 84.8] on"
        in told[0]
    )
    assert "(95% t-interval over 3 repeats; this pool), 70.0 on validation" in told[0]
    assert "2 at 10 (1 stopped), 1 at 30" in told[1]
    assert "83% of the tokens" in told[2]


def test_a_winner_of_task_files_has_absolute_paths(tmp_path, study, searched):
    found = searched((0, "topic", 0.3, "whole", [measured(10, 0.5), measured(30, 0.7)]))
    text = winning_study(found, found.trials[0], found.trials[0].rungs[-1])
    document = tomllib.loads(text)
    assert document["generate"] == {"strategy": "topic", "temperature": 0.3}
    assert document["mix"]["quantity"] == 30
    assert document["repeats"] == 3
    assert not {"factors", "search"} & set(document)
    (tmp_path / "best.toml").write_text(text)
    assert load_study(tmp_path / "best.toml").study.name == "s-best"


def test_the_best_so_far_is_drawn_over_the_trials_at_the_last_rung(searched):
    found = searched(
        (0, "topic", 0.3, "whole", [measured(10, 0.5), measured(30, 0.7)]),
        (1, "topic", 0.5, "whole", [measured(10, 0.6), measured(30, 0.6)]),
        (2, "topic", 0.7, "whole", [measured(10, 0.6), measured(30, 0.9)]),
    )
    axis = history_figure(found, "Accuracy").axes[0]
    (line,) = [one for one in axis.get_lines() if str(one.get_label()).startswith("best so far")]
    assert line.get_ydata()[:3] == pytest.approx([70, 70, 90])
