"""Words and first names that tell a person's gender, and how they are swapped."""

from __future__ import annotations

import re
from random import Random

from prefmodel.splits import words

_COUPLES = """
    he she, himself herself, father mother, dad mom, daddy mommy, son daughter, brother sister, husband wife,
    boyfriend girlfriend, uncle aunt, nephew niece, grandfather grandmother, grandpa grandma, grandson granddaughter,
    stepfather stepmother, stepson stepdaughter, stepbrother stepsister, stepdad stepmom, fiancé fiancée,
    man woman, boy girl, waiter waitress, widower widow, bridegroom bride, sir madam
"""
_OTHER: dict[str, str] = {}
for _couple in _COUPLES.split(","):
    _one, _two = _couple.split()
    _OTHER |= {_one: _two, _two: _one}

MEN = tuple(
    """
    John James David Peter Daniel Thomas Carlos Diego Ahmed Omar Raj Arjun Kwame Chidi Hiro Wei Ivan Pierre Lars Bob
    Jack Tom Joe Tim Steve Mike Ben Kevin Brian Eric Josh Ryan Matt Andrew Robert Jake Miguel Hassan Vikram Sven
    """.split()  # noqa: SIM905
)
"""First names from many places; none of them is a common word as well."""
WOMEN = tuple(
    """
    Jane Mary Sarah Emily Anna Laura Sofia Lucia Fatima Layla Priya Ananya Ama Ngozi Yuki Mei Olga Claire Ingrid Alice
    Lisa Amy Sally Susan Rachel Emma Kate Linda Lucy Helen Nina Amanda Jessica Hannah Megan Katie Elena
    Aisha Deepa Greta
    """.split()  # noqa: SIM905
)
_SAME_GENDER = {name: names for names in (MEN, WOMEN) for name in names}
_OTHER_NAME = {**dict(zip(MEN, WOMEN, strict=True)), **dict(zip(WOMEN, MEN, strict=True))}

_PRONOUN_FORMS = ("him", "his", "her", "hers")
_GENDERED = frozenset((*_OTHER, *_PRONOUN_FORMS))
_NO_PRONOUN = re.compile(r"\b(?:at|by|from|in|into|of|on|to|with) s?he\b", re.IGNORECASE)
"""Here "he" is a slip for "the"."""
_KNOWN_NAME = re.compile(rf"\b(?:{'|'.join(_SAME_GENDER)})\b")
_TURNED = re.compile(rf"\b(?:{'|'.join(sorted(_GENDERED))})\b|{_KNOWN_NAME.pattern}", re.IGNORECASE)
_WORD = re.compile(r"\w+")
_NEXT_WORD = re.compile(r"[ \n]+[(\"'*_]*([A-Za-z]+)")
_DETERMINED = re.compile(r"\b(?:an?|the|this|that|another|other|old|young|one|every|each|any|good|little) $", re.I)
"""What stands before a man or a boy who is meant, not called out: "the man", but "man, is it hot"."""

# Words after which "her" was an object ("I told her that"), not a possessive ("her car").
_NOT_OWNED = frozenset(
    """
    a about after again against all alone along although am an and another any anymore anyway are around as at away
    back be because been before being better both but by can come could directly do does doing down during either else
    enough even every everything exactly feel for from get go had has have he her hers herself
    him himself his how i if in instead into is it just know
    later leave like look make me might more much must my never no nor not nothing now of off on once one only onto or
    out over past right say see she should since so some something somewhere soon still talk tell than that the their
    them then there these they think this those though through to today together tomorrow too tonight toward towards
    under unless until up us use very want was we well were what when where whether which while who why will with
    within without would yesterday yet you your
    """.split()  # noqa: SIM905
)
# A text with one of these speaks of what differs between the sexes, of sex, or of offices and roles that do.
_BOUND = frozenset(
    """
    men women male males female females boys girls guy guys dude dudes bro bros gal gals lady ladies gentleman gentlemen
    gender genders sex sexes sexual sexually sexist feminist feminine masculine manly macho pregnant pregnancy birth
    breast breasts breastfeed breastfeeding penis vagina uterus ovary ovaries prostate testicles period menstrual
    hormone hormones estrogen testosterone beard bra gay lesbian straight hetero homosexual transgender trans rape raped
    king kings queen queens prince princess lord lords duke duchess emperor empress god gods goddess pope monk monks
    nun nuns priest church bible mr mrs ms miss mankind bitch bastard dick virgin whore slut wives husbands fathers
    mothers brothers sisters sons daughters mum mummy papa mama actor actress hero heroine patriarchy dress skirt
    hostess fiance fiancee gf bf cow bull hen
    """.split()  # noqa: SIM905
)
_AGE = re.compile(r"\b(?:[mf]\W?\d\d|\d\d\W?[mf])\b", re.IGNORECASE)
"""As forums write it: "my partner (24/m)"."""
_DATES = frozenset(
    """
    January February March April May June July August September October November December Monday Tuesday Wednesday
    Thursday Friday Saturday Sunday I OK
    """.split()  # noqa: SIM905
)
_CAPITAL = re.compile(r"(?<=[\w,;'’)] )[\"'(*]*([A-Z]\w*)")


def swapped_gender(text: str) -> str | None:
    """Return the text with every man in it a woman and every woman a man, or None where that is not safe.

    It is safe where nothing else in the text hangs on it: no fact about the sexes, nobody known by name, and no word of
    which it is not clear what it becomes ("her" becomes "him" or "his"): swapping again must give the text back.

    >>> swapped_gender("She sold her car to her brother, so ask him, or tell her that it is hers.")
    'He sold his car to his sister, so ask her, or tell him that it is his.'
    >>> swapped_gender("Women live longer than he does.") is None
    True
    """
    said = {*words(text)}
    if _GENDERED.isdisjoint(said) or not _BOUND.isdisjoint(said):
        return None
    if _NO_PRONOUN.search(text) or _AGE.search(text) or others_by_name(text):
        return None
    for match in re.finditer(r"\b(?:wo)?man\b|\bboy\b|\bgirl\b", text, re.IGNORECASE):
        if not _DETERMINED.search(text[: match.start()]):
            return None
    turned = _turned(text)
    return turned if _turned(turned) == text else None


def swapped_names(text: str, rng: Random) -> str | None:
    """Return the text with other first names of the same gender, or None where it has none, or others by name.

    >>> swapped_names("Tom met Anna.", Random(0))
    'Kevin met Emma.'
    """
    present = sorted(_SAME_GENDER.keys() & _WORD.findall(text))
    if not present or others_by_name(text):
        return None
    new: dict[str, str] = {}
    for name in present:
        free = [n for n in _SAME_GENDER[name] if n not in present and n not in new.values()]
        if not free:
            return None
        new[name] = rng.choice(free)
    return _KNOWN_NAME.sub(lambda match: new[match.group()], text)


def others_by_name(text: str) -> bool:
    """Tell whether a text has a capital within a sentence that is no first name of ours and no date.

    >>> others_by_name("Then Tom came in May."), others_by_name("Then Tom Jones came.")
    (False, True)
    """
    known = _SAME_GENDER.keys() | _DATES
    return any(word not in known and word.lower() not in _GENDERED for word in _CAPITAL.findall(text))


def speaks_of_people(text: str) -> bool:
    """Tell whether a text has gendered words or first names, so that an answer to it has to have them too.

    >>> speaks_of_people("Is my sister right?"), speaks_of_people("Is it right?")
    (True, False)
    """
    said, named = words(text), _WORD.findall(text)
    known = not (_GENDERED.isdisjoint(said) and _BOUND.isdisjoint(said) and _SAME_GENDER.keys().isdisjoint(named))
    return known or bool(_AGE.search(text))


def _turned(text: str) -> str:
    def other(match: re.Match[str]) -> str:
        word = match.group()
        return _cased(_form(word.lower(), _next_word(text, match.end())), word)

    # One pass over both, so that nothing is turned twice.
    return _TURNED.sub(lambda match: _OTHER_NAME.get(match.group()) or other(match), text)


def _form(word: str, following: str) -> str:
    owned = following != "" and following not in _NOT_OWNED
    if word == "her":
        return "his" if owned else "him"
    if word == "his":
        return "her" if owned else "hers"
    return {"him": "her", "hers": "his"}.get(word) or _OTHER.get(word, word)


def _next_word(text: str, end: int) -> str:
    match = _NEXT_WORD.match(text, end)
    return match.group(1).lower() if match else ""


def _cased(word: str, like: str) -> str:
    if like.isupper() and len(like) > 1:
        return word.upper()
    return word.capitalize() if like[0].isupper() else word
