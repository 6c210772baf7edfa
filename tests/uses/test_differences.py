from hiresvae.settings import Settings
from hiresvae.uses.differences import sees, setting_differences


def test_differences_of_sections_that_all_have_are_told_even_at_the_default():
    a = Settings(adversary={"gamma": 0.1}, name="a")
    b = Settings(adversary={"gamma": 0.0}, name="b")
    assert setting_differences([a, b]) == [("adversary.gamma", [0.1, 0.0])]
    assert setting_differences([a, a]) == []


def test_what_an_encoder_sees_is_told():
    def of(**corruption):
        return sees(Settings(corruption=corruption))

    assert sees(Settings()) == "the pictures themselves"
    assert of(kind="pairs", inputs="noisy") == "the corrupted pictures of noisy"
    assert of(kind="masking", share=0.3, blocks=4).endswith("share 0.3 in squares of 4 px)")
    assert of(kind="salt_and_pepper", share=0.3).endswith("(salt_and_pepper, share 0.3)")
    assert of(sigma=0.3) != of(sigma=0.4)
