"""The values that are kept are those of the keys that were used last."""

from __future__ import annotations

from jvid_models.adapters.pipelines.latest import Latest


def test_the_one_that_was_not_used_for_longest_is_made_again() -> None:
    made: list[str] = []
    latest: Latest[str, str | None] = Latest(2)

    def of(key: str) -> str | None:
        def make() -> str | None:
            made.append(key)
            return None if key == "none" else key.upper()

        return latest.of(key, make)

    assert [of(key) for key in ("none", "b", "none", "c", "none", "b")] == [None, "B", None, "C", None, "B"]
    assert made == ["none", "b", "c", "b"]
    latest.forget()
    of("b")
    assert made[-2:] == ["b", "b"]
