import pytest

from hiresvae.uses.plan import GROUPS, Plan, chosen_groups


def test_groups_are_all_or_those_that_are_named(refused) -> None:
    assert chosen_groups("all") == set(GROUPS)
    assert chosen_groups("texture, distance") == {"texture", "distance"}
    with refused("'textur'", "did you mean 'texture'"):
        chosen_groups("textur")
    with refused("valid are"):
        chosen_groups("")


def test_a_plan_knows_what_is_wanted_and_how_long_it_took() -> None:
    plan = Plan(frozenset({"texture"}), samples=5000, seed=0)
    assert plan.wants("texture", "paired") and not plan.wants("paired")
    assert plan.most == 5000 and Plan(frozenset(), samples=10, seed=0).most == 2000
    for _ in range(2):
        with plan.timed("texture"):
            sum(range(1000))
    assert list(plan.seconds) == ["texture"] and plan.seconds["texture"] >= 0
    with pytest.raises(KeyError), plan.timed("broken"):
        raise KeyError
