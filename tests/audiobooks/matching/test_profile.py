"""Which release is taken, and that each says why it is or is not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiobooks.facts import BookFacts
from audiobooks.matching.profile import WEIGHTS, Judgement, Offered, Profile, Verdict, judge, judged
from tests.audiobooks.matching.books import HOUR, VARGA, book
from tests.audiobooks.matching.test_properties import facts, texts

FIT, DOUBTFUL, UNFIT = Verdict
PROFILE = Profile(
    languages=("en", "de"), formats=("m4b", "mp3"), bitrate=64, mb_per_hour=(7.0, 250.0), seeders=1, only_free=True
)
WANTED = book("The Glass Meridian", VARGA, series=(("Salt", "2"),), language="en")
MB = 10**6


def offer(facts: BookFacts | None = None, **fields: Any) -> Offered:
    known = {"size": 300 * MB, "seeders": 9, "free": True, "formats": ("m4b",), "bitrate": 64}
    facts = facts or book("The Glass Meridian", VARGA, language="en", runtime=10 * HOUR)
    return Offered(**{"source": "s", "id": "1", "name": facts.title, "facts": facts, **known, **fields})


def of(**fields: Any) -> Offered:
    """One of the book, of which something else is said."""
    return offer(replace(book("The Glass Meridian", VARGA, language="en", runtime=10 * HOUR), **fields))


def test_what_fits_is_fit() -> None:
    found = judge(offer(), WANTED, PROFILE)
    assert found.verdict is FIT and found.is_the_work and 0 < found.score <= 1
    assert found.reasons == ("It is the book: same title; same author.", "It is in m4b.", "It is free.")
    assert {name for name, _ in found.shares} == set(WEIGHTS)


@pytest.mark.parametrize(
    ("offered", "verdict", "said"),
    [
        (offer(blocked="It is broken."), UNFIT, "It is broken."),
        # the work
        (offer(book("The Glass Meridian", "Tomas Reed", language="en")), UNFIT, "other authors"),
        (offer(book("The Iron Coast", VARGA, language="en")), UNFIT, "It is another book: other titles"),
        (offer(book("The Glass Meridian", language="en")), DOUBTFUL, "no author on one side"),
        (offer(book("Summary of The Glass Meridian", VARGA, language="en")), UNFIT, "It is another book: one is a summary"),
        (offer(book("Salt 3", VARGA, language="en", series=(("Salt", "3"),))), UNFIT, "volume 2 against volume 3"),
        # several in one
        (offer(book("Salt, Books 1-3", VARGA, language="en")), DOUBTFUL, "It is volumes 1-3 of the series in one, and volume 2"),
        (offer(book("Salt, Books 4-6", VARGA, language="en")), UNFIT, "volume 2 against volume 4-6"),
        (offer(book("Salt, Books 1-3", "Tomas Reed", language="en")), UNFIT, "It is another book"),
        (offer(book("Salt Box Set", VARGA, language="en")), DOUBTFUL, "has to be looked at"),
        (offer(book("Pepper Box Set", VARGA, language="en")), UNFIT, "It is another book"),
        # language: the source's own field, then its name, then nobody knows
        (of(language="fr"), UNFIT, "It is in French, and English or German is wanted."),
        (of(language=""), DOUBTFUL, "In which language it is, is not known."),
        (of(language="de"), DOUBTFUL, "It is in German, and the book is wanted in English."),
        (offer(book("The Glass Meridian", VARGA), name="The Glass Meridian by Ilse Varga [FRE / M4B]"), UNFIT, "It is in French"),
        (offer(name="The Glass Meridian by Ilse Varga [FRE / M4B]"), FIT, ""),
        # abridged, dramatised, a part
        (of(abridged=True), UNFIT, "It is abridged."),
        (of(abridged=False), FIT, "It is unabridged."),
        (of(title="The Glass Meridian (Abridged)"), UNFIT, "It is abridged."),
        (offer(name="The Glass Meridian (Abridged)"), UNFIT, "It is abridged."),
        (offer(name="The Glass Meridian (Unabridged)"), FIT, "It is unabridged."),
        (of(title="The Glass Meridian (Dramatized Adaptation)"), UNFIT, "It is a dramatised adaptation."),
        (offer(name="The Glass Meridian [GraphicAudio]"), UNFIT, "It is a dramatised adaptation."),
        (of(narrators=("A Full Cast",)), DOUBTFUL, "It may be a dramatised adaptation"),
        (of(title="The Glass Meridian (1 of 2)"), UNFIT, "It is only part 1 of 2."),
        # formats
        (offer(formats=("flac",)), UNFIT, "It is in flac, and m4b or mp3 is wanted."),
        (offer(formats=()), DOUBTFUL, "In which format it is, is not known."),
        (offer(formats=("epub", "PDF")), UNFIT, "It is an e-book, and no recording."),
        (offer(formats=("epub", ".MP3")), FIT, "It is in mp3."),
        (offer(replace(offer().facts, is_audio=False), formats=()), UNFIT, "It is an e-book, and no recording."),
        (offer(name="The Glass Meridian.epub", formats=()), UNFIT, "It is an e-book, and no recording."),
        # bitrate
        (offer(bitrate=63), FIT, ""),
        (offer(bitrate=48), FIT, "It has 48 kbit/s, and 64 are wanted."),
        (offer(bitrate=24), DOUBTFUL, "It has only 24 kbit/s, and 64 are wanted."),
        (offer(bitrate=None), FIT, ""),
        # size for its length
        (offer(size=20 * MB), UNFIT, "It has 20 MB for 10 h 00 min, and 2 an hour are less than 7"),
        (offer(size=2600 * MB), UNFIT, "260 an hour are more than 250"),
        (offer(size=None), FIT, "How large it is, is not known."),
        (of(runtime=None), FIT, ""),
        # seeders
        (offer(seeders=0), UNFIT, "It has 0 seeders, and 1 are wanted."),
        (offer(seeders=None), FIT, ""),
        # cost
        (offer(free=False), UNFIT, "It counts against your ratio, and only what is free is wanted."),
        (offer(free=None), DOUBTFUL, "Whether it counts against your ratio is not known."),
    ],
)  # fmt: skip
def test_each_rule_says_what_it_decides(offered: Offered, verdict: Verdict, said: str) -> None:
    found = judge(offered, WANTED, PROFILE)
    assert found.verdict is verdict, found.reasons
    assert any(said in reason for reason in found.reasons)
    assert found.is_the_work is not any("another book:" in reason and "may" not in reason for reason in found.reasons)
    assert found.is_other_language is any("It is in French" in reason for reason in found.reasons)


@pytest.mark.parametrize(
    ("changed", "offered", "verdict"),
    [
        ({"languages": ()}, of(language="en"), FIT),
        ({"languages": ()}, of(language=""), DOUBTFUL),
        ({"unabridged": False}, of(abridged=True), FIT),
        ({"formats": ()}, offer(formats=("flac",)), FIT),
        ({"formats": ()}, offer(formats=("epub",)), UNFIT),
        ({"bitrate": 0}, offer(bitrate=8), FIT),
        ({"bitrate": 128}, offer(bitrate=127), FIT),
        ({"seeders": 10}, offer(seeders=9), UNFIT),
        ({"only_free": False}, offer(free=False), FIT),
        ({"only_free": False}, offer(free=None), FIT),
        ({"mb_per_hour": (7.0, 20.0)}, offer(), UNFIT),
        ({"narrators": ("Mara Quill",)}, of(narrators=("Quill, Mara",)), FIT),
        ({"narrators": ("Mara Quill",)}, of(narrators=("Tomas Reed",)), UNFIT),
        ({"narrators": ("Mara Quill",)}, of(narrators=()), DOUBTFUL),
        ({"narrators": ("Mara Quill",)}, offer(name="The Glass Meridian (read by Mara Quill)"), FIT),
    ],
)
def test_other_settings_judge_the_same_releases_anew(
    changed: dict[str, Any], offered: Offered, verdict: Verdict
) -> None:
    found = judge(offered, WANTED, replace(PROFILE, **changed))
    assert found.verdict is verdict, found.reasons


@pytest.mark.parametrize(
    ("known", "theirs", "verdict"),
    [
        ({"runtime": 10 * HOUR}, {}, FIT),
        ({"runtime": 9 * HOUR}, {}, DOUBTFUL),
        ({"runtime": 9 * HOUR, "narrators": ("Mara Quill",)}, {"narrators": ("Mara Quill",)}, DOUBTFUL),
        # Another reads it, and slower.
        ({"runtime": 8 * HOUR, "narrators": ("Mara Quill",)}, {"narrators": ("Tomas Reed",)}, FIT),
        ({"runtime": 20 * HOUR, "narrators": ("Mara Quill",)}, {"narrators": ("Tomas Reed",)}, DOUBTFUL),
        # What the release does not say is that of the recording that is known.
        ({"runtime": 100 * HOUR}, {"runtime": None}, UNFIT),
    ],
)
def test_a_recording_of_another_length_is_left_to_a_person(
    known: dict[str, Any], theirs: dict[str, Any], verdict: Verdict
) -> None:
    found = judge(of(**theirs), replace(WANTED, **known), PROFILE)
    assert found.verdict is verdict, found.reasons


def test_the_dramatised_one_may_be_wanted() -> None:
    wanted = replace(WANTED, title="The Glass Meridian (Dramatized Adaptation)")
    assert judge(of(title=wanted.title), wanted, PROFILE).verdict is FIT
    assert judge(offer(), wanted, PROFILE).verdict is DOUBTFUL


def test_each_that_lost_says_by_which_rule() -> None:
    found = judged(
        [offer(id="mp3", formats=("mp3",)), offer(id="french", facts=replace(offer().facts, language="fr")), offer(id="m4b"),
         offer(id="twin", name="Twin"), offer(id="doubt", formats=())],
        WANTED, PROFILE,
    )  # fmt: skip
    assert [each.offered.id for each in found] == ["m4b", "twin", "mp3", "doubt", "french"]
    best, twin, mp3, doubt, french = found
    assert not any("stands behind" in reason for each in (best, doubt, french) for reason in each.reasons)
    assert twin.reasons[-1] == "It stands behind The Glass Meridian of s, which is as good."
    assert mp3.reasons[-1] == "It stands behind The Glass Meridian of s, most of all for its format."


def test_what_is_free_comes_first_and_no_score_outvotes_the_gate() -> None:
    paid = offer(id="paid", free=False, seeders=900, bitrate=320)
    poor = offer(id="poor", formats=("mp3",), seeders=1, bitrate=48)
    assert [each.offered.id for each in judged([paid, poor], WANTED, PROFILE)] == ["poor", "paid"]
    twin = offer(id="twin", free=False)
    found = judged([twin, offer(id="free")], WANTED, replace(PROFILE, only_free=False))
    assert [each.offered.id for each in found] == ["free", "twin"]


# --- whatever is offered ----------------------------------------------------------------------------------------------

profiles = st.builds(
    Profile,
    languages=st.sampled_from([(), ("en",), ("de", "en")]),
    formats=st.sampled_from([(), ("m4b", "mp3"), ("mp3",)]),
    unabridged=st.booleans(),
    bitrate=st.sampled_from([0, 64, 128]),
    mb_per_hour=st.sampled_from([(7.0, 250.0), (0.0, 1.0)]),
    seeders=st.integers(0, 3),
    only_free=st.booleans(),
    narrators=st.one_of(st.just(()), st.tuples(texts)),
)
numbers = st.one_of(st.none(), st.integers(-1, 10**13))
offers = st.builds(
    Offered,
    source=st.sampled_from(["s", "t"]),
    id=st.sampled_from(["1", "2"]),
    name=texts,
    facts=st.one_of(facts, st.just(offer().facts)),
    size=numbers,
    seeders=numbers,
    free=st.sampled_from([None, True, False]),
    formats=st.lists(st.sampled_from(["m4b", "MP3", "epub", "", "?", ". "]), max_size=3).map(tuple),
    bitrate=numbers,
    blocked=st.sampled_from(["", "", "It is broken."]),
)
wishes = st.one_of(facts, st.just(WANTED))
RANK = {FIT: 2, DOUBTFUL: 1, UNFIT: 0}


def goodness(found: Judgement) -> tuple[int, float]:
    return (RANK[found.verdict], found.score)


@settings(max_examples=100, deadline=None)
@given(st.lists(offers, max_size=4), wishes, profiles, st.randoms(use_true_random=False))
def test_the_order_they_come_in_means_nothing(
    releases: list[Offered], wanted: BookFacts, profile: Profile, random: Any
) -> None:
    found = judged(releases, wanted, profile)
    random.shuffle(releases)
    assert judged(releases, wanted, profile) == found
    assert sorted(map(repr, releases)) == sorted(repr(each.offered) for each in found)
    assert [goodness(each) for each in found] == sorted(map(goodness, found), reverse=True)
    # That there are no others makes none better.
    for each in found:
        alone = judge(each.offered, wanted, profile)
        assert (alone.verdict, alone.score) == (each.verdict, each.score)
        assert set(alone.reasons) <= set(each.reasons) and each.reasons
        assert 0 <= each.score <= 1


@settings(max_examples=100, deadline=None)
@given(offers, wishes, profiles, st.integers(0, 1000))
def test_what_is_better_is_never_judged_worse(release: Offered, wanted: BookFacts, profile: Profile, more: int) -> None:
    found = judge(release, wanted, profile)
    better = [replace(release, blocked="")]
    if release.free is not None:
        better.append(replace(release, free=True))
    if release.seeders is not None:
        better.append(replace(release, seeders=release.seeders + more))
    if release.bitrate is not None and release.bitrate > 0:
        better.append(replace(release, bitrate=release.bitrate + more))
    if profile.formats:
        better.append(replace(release, formats=(*release.formats, profile.formats[0])))
    for each in better:
        assert goodness(judge(each, wanted, profile)) >= goodness(found)
    # Nor what is asked less of.
    for less in (replace(profile, seeders=0), replace(profile, only_free=False), replace(profile, unabridged=False)):
        assert RANK[judge(release, wanted, less).verdict] >= RANK[found.verdict]


@settings(max_examples=100, deadline=None)
@given(offers, wishes, profiles)
def test_nothing_that_must_not_be_is_fit(release: Offered, wanted: BookFacts, profile: Profile) -> None:
    """Said once more, without the code that judges."""
    found = judge(release, wanted, profile)
    if found.verdict is FIT:
        assert not release.blocked and release.facts.title
        assert not profile.languages or release.facts.language in ("", *profile.languages)
        assert not (profile.unabridged and release.facts.abridged)
        assert release.free or not profile.only_free
        assert release.seeders is None or release.seeders >= profile.seeders
        assert not profile.formats or {each.lower() for each in release.formats} & {"m4b", "mp3", "?"}
        assert found.is_the_work and not found.is_other_language
