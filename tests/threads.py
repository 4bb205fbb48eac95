"""Small threads for the tests of the axioms, and a strategy that draws any."""

from hypothesis import strategies as st

from prefmodel.types import Answer, Thread

TOPICS = ("coffee", "beer", "bread", "cheese", "cider", "tea")
FACTS = (
    "It was first made in {place} in 1{n}40 by Ann Miller.",
    "The {topic} of that region is always kept at {n} degrees for 30 days.",
    "A single cup of {topic} weighs 2{n}0 grams and is more expensive.",
    "Monks from {place} sold {n} jars of {topic} to John Smith{more}.",
    "Nobody knows why {topic} turned sour in the cellar of house number {n}.",
    "The {topic} of house {n} won a prize in the year 19{n}0.",
)
PLACES = ("France", "Belgium", "Austria", "Norway", "Japan", "Kenya")


def ask(number: int, question: str, *answers: str | Answer, passages: tuple[str, ...] = (), source="demo") -> Thread:
    whole = tuple(a if isinstance(a, Answer) else Answer(a) for a in answers)
    return Thread(f"{source}/{number}", source, question, whole, passages)


def facts(number: int) -> list[str]:
    """Return six sentences that no other number gives."""
    topic, place = TOPICS[number % len(TOPICS)], PLACES[number % len(PLACES)]
    more = " and to his old friends" if number % 2 else ""  # so that no sentence is the longest everywhere
    return [fact.format(topic=topic, place=place, n=number, more=more) for fact in FACTS]


def question(number: int) -> str:
    """Return a question that is similar to those of other numbers, but nearly the same as none."""
    topic, place = TOPICS[number % len(TOPICS)], PLACES[number % len(PLACES)]
    return f"Why does brewer{number} from {place} sell {topic} as drink{number} to guest{number}?"


def library(size: int = 6) -> list[Thread]:
    """Return threads from each of which every axiom builds a pair."""
    threads = []
    for number in range(size):
        said = facts(number)
        # What one answer alone says of its topic: enough that the answer would be poorer without it.
        own = "Oak{n} barrels{n} give scent{n} and colour{n}, while clay{n} walls{n} of deep{n} vaults{n} keep heat{n}"
        own += " out in summer{n}, and frost{n} in winter{n}."
        said.append(own.format(n=number))
        answers = (
            Answer(" ".join([*said[:4], said[-1]]), votes=30, accepted=True),
            Answer(f"I like the {TOPICS[number % 6]} of shop {number}.", votes=2),
            Answer(f"It comes from {PLACES[number % 6]}, says book {number}.", "model", model="gpt-4"),
            Answer(f"No idea about number {number}.", "model", model="llama-13b"),
        )
        threads.append(ask(number, question(number), *answers, passages=(" ".join(said[3:]), f"Heading {number}")))
    return threads


WORDS = "Why is the coffee of Spain not always 12 better 1. by Ann Lee and in May [1] two miles"
words = st.sampled_from(WORDS.split(" "))
texts = st.lists(words, max_size=12).map(" ".join) | st.text(max_size=30)
sentences = st.lists(words, min_size=4, max_size=9).map(lambda w: "The " + " ".join(w) + ".")
long_texts = st.lists(sentences, max_size=6).map(" ".join)
answers = st.builds(
    Answer,
    texts | long_texts,
    votes=st.none() | st.integers(-5, 50),
    accepted=st.none() | st.booleans(),
    created=st.none() | st.integers(1, 28).map(lambda day: f"2020-02-{day:02}"),
    model=st.sampled_from([None, "gpt-4", "claude-2", "llama-13b", "unheard-of"]),
)
any_threads = st.lists(
    st.tuples(
        texts, st.lists(answers, max_size=4), st.lists(long_texts, max_size=2), st.sampled_from(["demo", "other"])
    ),
    max_size=6,
).map(lambda rows: [ask(i, q, *a, passages=tuple(p), source=s) for i, (q, a, p, s) in enumerate(rows)])
