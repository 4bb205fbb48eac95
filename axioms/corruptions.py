"""Places of a text that may be made wrong: each names what may stand there, so that two texts can exchange theirs."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass

from axioms.checkable import denied, in_range, personal, polar, told_elsewhere
from axioms.lexicon import CAUSES, MEN, OPPOSITES, TYPES, UNITS, WOMEN

KINDS = ("causal", "date", "unit", "name", "negation", "antonym", "number", "entity")
"""Kinds of errors, the rare ones first, so that each gets its share of the answers."""

PROTECTED = re.compile(
    r"```.*?(?:```|\Z)|`[^`]*`|https?://\S+|www\.\S+|\S+@\S+|\]\([^)]*\)|<[^<>]*>|^(?: {4}|\t).*$"
    r"|\$\$.*?\$\$|\$[^$\n]+\$|\\\(.*?\\\)|\\\[.*?\\\]|\\begin\{.*?\\end\{\w+\*?\}|\\\w+\S*",
    re.DOTALL | re.MULTILINE,
)
"""Code, addresses, tags and formulas, which an error would break."""
_PROTECTS = re.compile(r"[`@<$\\]|://|www\.|\]\(|^(?: {4}|\t)", re.MULTILINE)
"""What each of them has; a text without it needs no search for them, which is slow."""


@dataclass(frozen=True, slots=True)
class Place:
    """What stands in a text and may be exchanged for what stands in another text.

    Args:
        kind: one of `KINDS`.
        group: only places of one group are exchanged.
        sense: what it says; places of one sense are not exchanged.
        word: what stands there, in the form that another text gets.
        spans: characters, start and end, of each time that it stands there.
    """

    kind: str
    group: Hashable
    sense: Hashable
    word: str
    spans: tuple[tuple[int, int], ...]


def places(text: str, question: str = "", source: str = "") -> list[Place]:
    """Return the places of a text that may be made wrong.

    Args:
        text: an answer.
        question: names and numbers that it names are left alone; an answer about others would not be to the point.
        source: other names are exchanged within one source only.

    >>> [(place.kind, place.word) for place in places("It has 12 moons. It is always hot.")]
    [('number', '12'), ('antonym', 'always'), ('antonym', 'hot')]
    """
    kept = [match.span() for match in PROTECTED.finditer(text)] if _PROTECTS.search(text) else []
    asked = set(_WORD.findall(question.lower()))
    found: dict[tuple[str, Hashable, Hashable, str], list[tuple[int, int]]] = defaultdict(list)
    for find in (_numbers, _words, _names, _negations):
        for kind, group, sense, word, span in find(text):
            inside = any((start < span[1] and span[0] < end) or start <= span[0] < end for start, end in kept)
            named = kind in _FACTS and not asked.isdisjoint(_WORD.findall(word.lower()))
            if not inside and not named and (kind in _FACTS or not personal(text, span)):
                found[kind, (group, source) if kind == "name" else group, sense, word].append(span)
    out = []
    for (kind, group, sense, word), spans in found.items():
        if all(personal(text, span) for span in spans) or (kind in _FACTS and told_elsewhere(text, word, spans, kept)):
            continue
        # A fact is told wrong throughout; of other words only one goes, lest the text turns upside down.
        out.append(Place(kind, group, sense, word, tuple(spans) if kind in _FACTS else (spans[len(spans) // 2],)))
    return out


def put(text: str, exchanges: Mapping[tuple[int, int], str]) -> str:
    """Put each word in its span; a capital letter and the article "a" or "an" before it are kept right.

    >>> put("A red one.", {(2, 5): "orange"})
    'An orange one.'
    """
    for (start, end), word in sorted(exchanges.items(), reverse=True):
        before = text[:start]
        if text[start : start + 1].isupper() and word[:1].islower():
            word = word[0].upper() + word[1:]
        if article := _ARTICLE.search(before):
            before = before[: article.start()] + _article(article.group(1), word) + " "
        text = before + word + text[end:]
    return text


Found = tuple[str, Hashable, Hashable, str, tuple[int, int]]
"""Kind, group, sense, word and span."""

_FACTS = frozenset(("date", "name", "number", "entity"))
_WORD = re.compile(r"[\w']+")
_ARTICLE = re.compile(r"\b([Aa]n?) $")

# Numbers

_NUMBER = re.compile(
    r"(?<![\w.,/:#^_=<>+*−–-])([$£€]?)(\d{1,3}(?:,\d{3})+|\d{1,15})(\.\d{1,9})?(?!\w|[/^_=*]|[.,:–-]\d)"
)
_DECADE = re.compile(r"\b(1[0-9]|20)(\d0)(?=s\b)")
_CENTURY = re.compile(r"\b(\d{1,2}(?:st|nd|rd|th)) (?=[Cc]entury)")
_LIST_MARK = re.compile(r"^\s*\d+$")
_MONTHS = (*TYPES["month"], "May")
_YEAR_BEFORE = re.compile(
    r"(?:\b(?:in|since|by|from|until|till|before|after|between|and|to|of|during|circa|around|year|about)|[(,–-]|"
    rf"{'|'.join(_MONTHS)}) ?$",
    re.IGNORECASE,
)


def _numbers(text: str) -> Iterator[Found]:
    """Years for years, days for days, and a number for one of as many digits, zeros at the end and decimals."""
    for match in _NUMBER.finditer(text):
        sign, whole, fraction = match.group(1), match.group(2), match.group(3) or ""
        before, after = text[max(0, match.start() - 14) : match.start()], text[match.end() : match.end() + 14]
        line = text[text.rfind("\n", 0, match.start()) + 1 : match.end()]
        opens = _LIST_MARK.match(line) or before.rstrip()[-1:] in (".", ":", ";", "!", "?")
        if (opens and after[:1] in (".", ")", ":")) or after[:2] == ".)" or before.endswith("["):
            continue  # "1." numbers a list and "[1]" cites; they are no facts
        if in_range(before, after):
            continue  # "5 or maybe 3" for "2 or maybe 3" would give itself away
        value = float(whole.replace(",", "") + fraction)
        plain = not sign and not fraction and "," not in whole
        span, word = match.span(), match.group()
        if plain and len(whole) == 4 and 1000 <= value <= 2100 and _YEAR_BEFORE.search(before):
            yield "date", "year", value, word, span
        elif plain and 1 <= value <= 31 and any(m in before[-10:] or m in after[:11] for m in _MONTHS):
            yield "date", ("day", len(whole)), value, word, span
        elif value > 1 or fraction:  # what stands with "1" is singular
            zeros = 0 if fraction else len(whole) - len(whole.rstrip("0"))
            percent = after.lstrip()[:1] == "%" or after.startswith(" percent")
            shape = (sign, len(whole.replace(",", "")), "," in whole, len(fraction), zeros, percent)
            yield "number", shape, value, word, span
    for kind, pattern in (("decade", _DECADE), ("century", _CENTURY)):
        for match in pattern.finditer(text):
            yield "date", kind, match.group().strip(), match.group(), match.span()


# Words of the lexicon, opposites and directions

_TOKEN = re.compile(r"[A-Za-z]+[#+]*(?:['’-][A-Za-z]+)*|[.,;:!?()]")
_KIND = dict.fromkeys(("month", "weekday"), "date") | dict.fromkeys(("numeral", "ordinal", "magnitude"), "number")
_LOOK_UP: dict[str, tuple[str, Hashable, Hashable]] = {}
for _type, _members in TYPES.items():
    for _member in _members:
        _LOOK_UP.setdefault(_member, ("unit" if _type in UNITS else _KIND.get(_type, "entity"), _type, _member))
for _pair in OPPOSITES:
    for _member in _pair:
        _LOOK_UP.setdefault(_member, ("antonym", _pair, _member))
for _ways in CAUSES:
    for _way in _ways:
        for _member in _way:
            _LOOK_UP.setdefault(_member, ("causal", _ways[0], _way))
_REACH: dict[str, int] = {}
"""How many tokens the longest entry has that begins with a token, which may have a capital."""
for _entry in _LOOK_UP:
    _first, *_more = _entry.split()
    for _form in (_first, _first[0].upper() + _first[1:]):
        _REACH[_form] = max(1 + len(_more), _REACH.get(_form, 0))
_MEASURED = re.compile(
    rf"(?:\d|\b(?:{'|'.join(TYPES['numeral'])}|few|several|many|hundred|thousand|million)) ?$", re.IGNORECASE
)
_SET_PHRASE = re.compile(
    r"\b(?:no|not|at|how|a|or|so|as|too|very|ever|ice|and|once|the other|just|even|much|any|some|half|good|well|bit"
    r"|little|this|that|these|those|both|between|of the|New|North|South|San|Saint|St\.|Los|Las) $",
    re.IGNORECASE,
)
"""What stands before a word that belongs to it: "no longer", "at most", "a few", "New England"."""
_COMPOUND = re.compile(
    r" (?:flags?|tape|herrings?|carpet|box(?:es)?|holes?|lists?|market|fish|collar|ball|egg|bowl|oil|sauce|seeds?|"
    r"cream|juice|powder|dwarfs?|giants?|matter|magic|pill|card|house|paper|bread|bean|beans|wine|rice|pepper|tea)\b"
)
"""What makes one thing with the word before it: "red flags", "blue cheese"."""
_MORE_LIKE_IT = re.compile(r"(?:, \w[\w ]{0,20})?,? (?:and|or|etc) ?\w|, \w+,")
"""What stands behind a word of a list."""
_TIED_TO_A_VERB = frozenset(("sport", "instrument", "vehicle"))
"""Types of words: one plays tennis, and goes swimming."""
_OPENS = re.compile(r"(?:^|[.!?:\n*•-])[\s\"'(*]*$")
_NOUN = re.compile(r"\b(?:the|some|are|is|of|with|good|many|and|few|these|major|main|common|to|a|no) $", re.IGNORECASE)
"""Before "results in" or "causes": here they are nouns."""
_LAST = re.compile(r"([\w.,]+|\S) ?$")
_DEGREE = frozenset(("more", "less", "most", "least"))
_ADJECTIVE = re.compile(r" (?:than|\w+(?:ive|ful|able|ible|ous|ant|ent|ly|ed|ic|al|ult|ex))\b")


def _words(text: str) -> Iterator[Found]:
    tokens = list(_TOKEN.finditer(text))
    free = 0  # the first token that is not taken
    for i, first in enumerate(tokens):
        reach = _REACH.get(first.group())
        if reach is None or i < free:
            continue
        for count in range(min(reach, len(tokens) - i), 0, -1):
            span = (first.start(), tokens[i + count - 1].end())
            word = text[slice(*span)]
            found = _LOOK_UP.get(word) or _LOOK_UP.get(word[:1].lower() + word[1:])
            if found is None:
                continue
            kind, group, sense = found
            if _fits(kind, group, str(sense), text, span):
                # "24" goes with "hours", "it" with "depends on", "play" with "tennis".
                if kind in ("unit", "causal") or group in _TIED_TO_A_VERB:
                    group = (group, _before(text, span[0]))
                yield kind, group, sense, word if word in _LOOK_UP else word[:1].lower() + word[1:], span
            free = i + count
            break


def _before(text: str, start: int) -> str:
    """Return the word or number that stands before a position."""
    found = _LAST.search(text[max(0, start - 24) : start])
    return found.group(1).lower() if found else ""


def _listed(before: str, after: str) -> bool:
    """Tell whether a word is one of several like it, among which another would be out of place."""
    return before.endswith((", ", " and ", " or ")) or bool(_MORE_LIKE_IT.match(after))


def _fits(kind: str, group: Hashable, sense: str, text: str, span: tuple[int, int]) -> bool:
    """Tell whether the word says here what the lexicon takes it for."""
    before, after = text[max(0, span[0] - 14) : span[0]], text[span[1] : span[1] + 16]
    if after[:1] == "-" or before[-1:] in ("-", "'", "’", "/", ".") or after[:1] == "/":
        return False
    if text[span[0]].isupper() and str(sense)[:1].islower() and not _OPENS.search(before):
        return False  # the title of something: "12 Years a Slave"
    if kind == "unit":
        return bool(_MEASURED.search(before)) and not after.startswith(" old")
    if kind == "causal":
        return not _NOUN.search(before)
    if kind == "antonym":
        if sense in _DEGREE and not _ADJECTIVE.match(after):
            return False
        if denied(text, span):
            return False  # "not really cold" says little, and its contrary no more
        return not (_SET_PHRASE.search(before) or after.startswith((" or ", " and ", " of all", " enough", " to ")))
    if kind == "number":
        return not re.search(r"\b(?:the|these|those|between|of|one|first|or) $", before, re.IGNORECASE)
    if kind == "entity":
        # A longer name holds it: "New England", "Paris Hilton", "the French Revolution".
        capital = text[span[0]].isupper()
        if _listed(before, after):
            return False
        if _COMPOUND.match(after) or (group == "science" and capital):  # "red flags", "Engineering applications"
            return False
        return not re.search(r"\b(?:[A-Z][a-z]+|St\.) $" if capital else r"[A-Z]$", before) and not (
            capital and re.match(r" [A-Z][a-z]", after)
        )
    return True


# Names that the lexicon does not hold

_NO_NAME = frozenset(
    """
    And At But For Her His How If In My On Other Our Official The Their These This Those What When Your
    """.split()  # noqa: SIM905
)
_NAME = re.compile(r"\b[A-Z][a-z]+(?: (?:(?:of|de|van|von) )?[A-Z][a-z]+)+\b")


_FIRST_NAMES = MEN | WOMEN
_PERSON = re.compile(rf"\b(?=[A-Z])({'|'.join(sorted(_FIRST_NAMES))}) [A-Z][a-z]+\b(?! [A-Z])")


def _names(text: str) -> Iterator[Found]:
    """Persons for persons, known by the first name; other names for names that end in the same word ("Ocean")."""
    for match in _PERSON.finditer(text):
        if _listed(text[max(0, match.start() - 14) : match.start()], text[match.end() :][:30]):
            continue
        yield "name", "man" if match.group(1) in MEN else "woman", match.group(), match.group(), match.span()
    for match in _NAME.finditer(text):
        name, start = match.group(), match.start()
        parts = name.split()
        opens = not start or text[:start].rstrip(" \"'(*")[-1:] in ("", ".", "!", "?", ":", "\n", "-", "•")
        titled = re.search(r"[A-Z]\w*\.? $", text[max(0, start - 20) : start]) or text[match.end() + 1 :][:1].isupper()
        person = not _FIRST_NAMES.isdisjoint(parts)
        if not (opens or titled or person or len(parts) > 4 or parts[0] in _NO_NAME or parts[-1] in _LOOK_UP):
            yield "name", (parts[-1], len(parts)), name, name, match.span()


# Negations

_NEXT = (
    r"(?= (?!(?:no|not|nothing|neither|never|also|just|only|necessarily|always|it|there|he|she|they|we|you|I)\b)"
    r"([a-z]+))"
)
_AUXILIARY = re.compile(
    r"\b(?<!to )(?<!not )(is|are|was|were|can|will|should|could|would|has|have|had|does|did|do)( not\b|n['’]t\b|not\b)?"
    + _NEXT
)
_FULL_VERBS = frozenset(("has", "have", "had", "does", "did", "do"))
_BASE = """
    agree believe care drink eat expect find get give go have know like live make mean need pay really recommend
    remember see seem take think trust understand use want work
"""
_PLAIN = re.compile(rf"\b(I|you|we|they|people) (do not |don['’]t )?(?=({'|'.join(_BASE.split())})\b)")


def _negations(text: str) -> Iterator[Found]:
    """A verb that is negated for the same verb that is not, before the same word; no second negation of a sentence."""
    return (found for found in _negated(text) if not (polar(text, found[-1][1]) or denied(text, found[-1])))


def _negated(text: str) -> Iterator[Found]:
    for match in _AUXILIARY.finditer(text):
        verb, negation, following = match.groups()
        if verb in _FULL_VERBS and following != "been":
            continue
        if text[match.start() : match.end()] == "cannot" or negation != "not":
            yield "negation", (verb, following), bool(negation), match.group(), match.span()
    for match in re.finditer(r"\b(ca|wo)n['’]t\b" + _NEXT, text):
        verb = "can" if match.group(1) == "ca" else "will"
        yield "negation", (verb, match.group(2)), True, match.group(), match.span()
    for match in _PLAIN.finditer(text):
        span = (match.end(1) + 1, match.end())
        yield "negation", (match.group(1), match.group(3)), bool(match.group(2)), match.group(2) or "", span


def _article(article: str, word: str) -> str:
    """Return "a" or "an", as it stands before `word`, with the first letter of `article`.

    >>> _article("a", "Austrian"), _article("An", "German")
    ('an', 'A')
    """
    vowel = word[:1] in "AEIOUaeiou" and not word.startswith(("Eu", "Uk", "Ur", "Ut", "uni", "US"))
    return article[0] + ("n" if vowel or word.startswith(("hour", "8")) else "")
