import sys
from pathlib import Path

import workers

SCRIPT = f"""
import sys
sys.path.insert(0, {str(Path(workers.__file__).parent)!r})
from workers import serve

def answer(asked):
    print("a word for the log")
    if asked["n"] < 0:
        raise ValueError("below nothing")
    return {{"twice": 2 * asked["n"]}}

serve(answer)
"""


def test_a_worker_answers_until_it_dies_and_then_says_of_what(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    worker = workers.Worker(sys.executable, str(script), [], tmp_path, "cpu")
    try:
        assert [worker.ask({"n": n}) for n in (1, 21)] == [{"twice": 2}, {"twice": 42}]
        reason = worker.ask({"n": -1})["reason"]
        assert reason == "it ended with code 1: ValueError: below nothing"
        assert worker.ask({"n": 1})["reason"] == reason, "the dead are asked in vain"
    finally:
        worker.close()
    assert "a word for the log" in (tmp_path / "log.txt").read_text()
