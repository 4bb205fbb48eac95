"""Words by type, so that an exchange stays believable: a month for a month, a country for a country, "hot" for "cold".

Entries are divided by commas. All words of a type stand in the same form (singular or plural), so that any of them fits
where another stood.
"""

_TYPES = {
    "month": "January, February, March, April, June, July, August, September, October, November, December",
    "weekday": "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday",
    "season": "spring, summer, autumn, winter",
    "country": """Argentina, Australia, Austria, Bangladesh, Belgium, Bolivia, Brazil, Bulgaria, Cambodia, Canada,
        Chile, China, Colombia, Croatia, Cuba, Denmark, Ecuador, Egypt, England, Estonia, Ethiopia, Finland, France,
        Germany, Ghana, Greece, Hungary, Iceland, India, Indonesia, Iran, Iraq, Ireland, Israel, Italy, Jamaica, Japan,
        Kenya, Korea, Latvia, Lebanon, Malaysia, Mexico, Morocco, Nepal, Netherlands, New Zealand, Nigeria, Norway,
        Pakistan, Peru, Philippines, Poland, Portugal, Romania, Russia, Saudi Arabia, Scotland, Serbia, South Africa,
        South Korea, Spain, Sri Lanka, Sweden, Switzerland, Syria, Taiwan, Thailand, Turkey, Uganda, Ukraine,
        Venezuela, Vietnam, Wales""",
    "nationality": """American, Australian, Austrian, Belgian, Brazilian, British, Canadian, Chinese, Cuban, Danish,
        Dutch, Egyptian, English, Finnish, French, German, Greek, Hungarian, Indian, Irish, Italian, Japanese, Korean,
        Mexican, Norwegian, Persian, Polish, Portuguese, Roman, Russian, Scottish, Spanish, Swedish, Swiss, Turkish""",
    "people": "Americans, Australians, Canadians, Egyptians, Germans, Greeks, Indians, Italians, Mexicans, Russians",
    "continent": "Africa, Antarctica, Asia, Europe, North America, South America",
    "ocean": "Arctic, Atlantic, Baltic, Caribbean, Mediterranean, Pacific",
    "city": """Amsterdam, Athens, Atlanta, Baltimore, Bangkok, Barcelona, Beijing, Berlin, Boston, Brussels, Cairo,
        Chicago, Cleveland, Copenhagen, Dallas, Delhi, Denver, Detroit, Dubai, Dublin, Edinburgh, Florence, Glasgow,
        Houston, Istanbul, Jerusalem, Las Vegas, Lisbon, Liverpool, London, Los Angeles, Madrid, Manchester, Melbourne,
        Miami, Milan, Montreal, Moscow, Mumbai, Munich, New Orleans, New York City, Oslo, Oxford, Paris, Philadelphia,
        Pittsburgh, Portland, Prague, Rome, San Diego, San Francisco, Seattle, Seoul, Shanghai, Singapore, Stockholm,
        Sydney, Tokyo, Toronto, Vancouver, Venice, Vienna, Warsaw, Zurich""",
    "state": """Alabama, Alaska, Arizona, Arkansas, California, Colorado, Connecticut, Florida, Hawaii, Idaho, Illinois,
        Indiana, Iowa, Kansas, Kentucky, Louisiana, Maine, Maryland, Massachusetts, Michigan, Minnesota, Mississippi,
        Missouri, Montana, Nebraska, Nevada, New Jersey, New Mexico, North Carolina, North Dakota, Ohio, Oklahoma,
        Oregon, Pennsylvania, South Carolina, South Dakota, Tennessee, Texas, Utah, Vermont, Virginia, Wisconsin,
        Wyoming""",
    "planet": "Mercury, Venus, Mars, Jupiter, Saturn, Uranus, Neptune, Pluto",
    "direction": "north, south, east, west, northeast, northwest, southeast, southwest",
    "side": "northern, southern, eastern, western, northeastern, northwestern, southeastern, southwestern",
    "language": "Arabic, Hindi, Latin, Hebrew, Mandarin, Sanskrit, Swahili, Esperanto",
    "religion": "Buddhism, Christianity, Hinduism, Islam, Judaism",
    "faith": "Buddhist, Catholic, Christian, Hindu, Jewish, Muslim, Orthodox, Protestant",
    "company": """Adobe, Airbnb, Amazon, Apple, Boeing, Disney, Facebook, Ford, Google, Honda, IBM, Intel, Microsoft,
        Netflix, Nike, Nintendo, Nvidia, OpenAI, Oracle, Samsung, Sony, Starbucks, Tesla, Toyota, Twitter, Uber,
        Walmart, YouTube""",
    "programming": """Bash, C#, Fortran, Haskell, Java, JavaScript, Kotlin, MATLAB, PHP, Perl, Python, Ruby, Rust, SQL,
        Scala, Swift, TypeScript""",
    "system": "Android, Linux, MacOS, Ubuntu, Windows, iOS",
    "coin": "Augur, Bitcoin, Cardano, Dogecoin, Ethereum, Litecoin, Solana",
    "tool": "Keras, NumPy, PyTorch, TensorFlow, Pandas, Qiskit, Cirq",
    "sport": """badminton, baseball, basketball, boxing, cricket, cycling, football, golf, hockey, rugby, soccer,
        swimming, tennis, volleyball""",
    "instrument": "cello, clarinet, drum, flute, guitar, harp, piano, saxophone, trombone, trumpet, violin",
    "element": """aluminum, calcium, carbon, chlorine, copper, gold, helium, hydrogen, iron, lithium, magnesium,
        mercury, nickel, nitrogen, oxygen, phosphorus, platinum, potassium, silicon, silver, sodium, steel, sulfur,
        tin, titanium, uranium, zinc""",
    "vitamin": "caffeine, calories, carbs, cholesterol, fat, fiber, protein, salt, starch, sugar",
    "hormone": "adrenaline, cortisol, dopamine, estrogen, insulin, melatonin, serotonin, testosterone",
    "organ": "bladder, brain, heart, kidney, liver, lung, pancreas, spleen, stomach",
    "disease": """AIDS, Alzheimer, arthritis, asthma, cancer, cholera, diabetes, hypertension, influenza, malaria,
        measles, obesity, pneumonia, smallpox, tuberculosis""",
    "colour": "black, blue, brown, gray, green, orange, pink, purple, red, white, yellow",
    "animal": """bear, bird, cat, chicken, cow, deer, dog, duck, elephant, fish, fox, frog, goat, horse, lion, monkey,
        mouse, pig, rabbit, rat, shark, sheep, snake, spider, tiger, turtle, whale, wolf""",
    "animals": """bears, birds, cats, chickens, cows, dogs, ducks, elephants, foxes, frogs, goats, horses, lions,
        monkeys, pigs, rabbits, rats, sharks, snakes, spiders, tigers, turtles, whales, wolves""",
    "fruit": "apple, banana, cherry, coconut, grape, lemon, lime, mango, orange, peach, pear, pineapple, strawberry",
    "vegetable": """avocado, broccoli, cabbage, carrot, celery, corn, cucumber, garlic, ginger, lettuce, onion, pepper,
        potato, pumpkin, rice, spinach, tomato, wheat""",
    "plants": "apples, bananas, beans, carrots, grapes, lemons, mushrooms, nuts, onions, oranges, potatoes, tomatoes",
    "meat": "bacon, beef, chicken, ham, lamb, pork, salmon, sausage, shrimp, tuna, turkey",
    "dairy": "butter, cheese, cream, milk, yogurt",
    "seasoning": "basil, cinnamon, cumin, honey, mustard, oregano, paprika, thyme, vanilla, vinegar",
    "drink": "beer, brandy, champagne, cider, coffee, gin, juice, rum, tea, tequila, vodka, whiskey, wine",
    "beer": "IPA, ale, barleywine, kolsch, lager, lambic, pilsner, porter, saison, stout",
    "brew": "malt, yeast, hops, barley",
    "coffee": "Americano, Chemex, cappuccino, espresso, latte, macchiato, mocha, ristretto",
    "material": "brick, ceramic, concrete, cotton, glass, leather, paper, plastic, rubber, silk, stone, wood, wool",
    "science": """anthropology, astronomy, biology, chemistry, economics, engineering, geography, geology, history,
        linguistics, mathematics, medicine, philosophy, physics, psychology, sociology""",
    "branch": "algebra, arithmetic, calculus, geometry, probability, statistics, topology, trigonometry",
    "profession": """accountant, actor, architect, artist, carpenter, chef, dentist, doctor, engineer, farmer, judge,
        lawyer, musician, nurse, painter, physicist, pilot, plumber, poet, politician, professor, scientist, soldier""",
    "vehicle": "airplane, bicycle, boat, bus, car, helicopter, motorcycle, ship, train, truck",
    "regime": "anarchism, capitalism, communism, fascism, feudalism, liberalism, nationalism, socialism",
    "house": "Congress, Parliament, Senate, Supreme Court",
    "party": "Democrat, Republican, Libertarian, Socialist",
    "royal": "baron, duke, emperor, king, prince, pope",
    "relation": "aunt, cousin, daughter, grandmother, mother, niece, sister",
    "kin": "brother, father, grandfather, nephew, son, uncle",
    "nucleobase": "adenine, cytosine, guanine, thymine, uracil",
    "molecule": "DNA, RNA, mRNA, tRNA",
    "method": "BLAST, BWA, Bowtie, GATK, Picard, STAR, samtools",
    "network": "CNN, GAN, LSTM, MLP, RNN, SVM, transformer",
    "learning": "classification, clustering, regression, segmentation",
    "gate": "CNOT, CZ, Hadamard, SWAP, Toffoli",
    "numeral": "two, three, four, five, six, seven, eight, nine, ten, eleven, twelve, fifteen, twenty, thirty, fifty",
    "ordinal": "second, third, fourth, fifth, sixth, seventh, eighth, ninth, tenth",
    "fraction": "half, a third, a quarter",
    "magnitude": "hundred, thousand, million, billion, trillion",
    "lengths": "millimeters, centimeters, inches, feet, yards, meters, kilometers, miles",
    "length": "millimeter, centimeter, inch, foot, yard, meter, kilometer, mile",
    "weights": "milligrams, grams, ounces, pounds, kilograms, tons",
    "times": "seconds, minutes, hours, days, weeks, months, years, decades, centuries",
    "time": "second, minute, hour, day, week, month, year, decade, century",
    "volumes": "milliliters, teaspoons, tablespoons, cups, pints, liters, gallons",
    "short length": "mm, cm, m, km",
    "short weight": "mg, g, oz, lbs, kg",
    "short size": "KB, MB, GB, TB",
    "short frequency": "Hz, kHz, MHz, GHz",
    "short time": "ns, ms, mins, hrs",
}  # fmt: skip

TYPES: dict[str, tuple[str, ...]] = {kind: tuple(" ".join(w.split()).split(", ")) for kind, w in _TYPES.items()}

UNITS = frozenset(kind for kind in TYPES if kind.startswith(("short ", "length", "weight", "time", "volume")))
"""Types whose words measure, from small to large: they count only after a number."""

_OPPOSITES = """
    always/never, usually/rarely, often/seldom, increase/decrease, increases/decreases, increased/decreased,
    increasing/decreasing, higher/lower, highest/lowest, high/low, more/less, larger/smaller, largest/smallest,
    large/small, bigger/tinier, before/after, above/below, faster/slower, fastest/slowest, fast/slow,
    quickly/slowly, best/worst, better/worse, good/bad, hot/cold, hotter/colder, warm/cool, warmer/cooler,
    early/late, earlier/later, maximum/minimum, longer/shorter, longest/shortest, long/short, stronger/weaker,
    strong/weak, positive/negative, safe/dangerous, inside/outside, older/younger, oldest/youngest, easier/harder,
    easiest/hardest, easy/difficult, heavier/lighter, heavy/light, true/false, majority/minority, thicker/thinner,
    thick/thin, wide/narrow, wider/narrower, deep/shallow, deeper/shallower, rich/poor, likely/unlikely,
    possible/impossible, legal/illegal, necessary/unnecessary, able/unable, agree/disagree, success/failure,
    successful/unsuccessful, advantage/disadvantage, advantages/disadvantages, simple/complex, cheap/expensive,
    male/female, men/women, wet/dry, improve/worsen, improves/worsens, improved/worsened, rise/fall, rises/falls,
    rose/fell, win/lose, wins/loses, won/lost, accept/reject, accepted/rejected, enable/disable, enabled/disabled,
    buy/sell, bought/sold, upper/lower, internal/external, public/private, domestic/foreign, ancient/modern,
    natural/artificial, soluble/insoluble, input/output, inputs/outputs, teacher/student, teachers/students,
    with/without, known/unknown, common/rare, important/unimportant, similar/different, include/exclude,
    includes/excludes, including/excluding, significant/insignificant, significantly/slightly,
    effective/ineffective, efficient/inefficient, direct/indirect, directly/indirectly, regular/irregular,
    complete/incomplete, correct/incorrect, correctly/incorrectly, healthy/unhealthy, sweet/bitter, fresh/stale,
    clean/dirty, popular/unpopular, reliable/unreliable, equal/unequal, visible/invisible, stable/unstable,
    northward/southward, primary/secondary, major/minor, permanent/temporary, supply/demand, profit/loss,
    acidic/alkaline, active/passive, dead/alive, urban/rural, few/many, most/least, lighter/darker, light/dark,
    gain/lose, gained/lost, greater/smaller, greatest/smallest, softer/harder, hard/soft, reduce/raise,
    reduces/raises, reduced/raised, forwards/backwards, linear/nonlinear, finite/infinite,
    classical/quantum, supervised/unsupervised, encode/decode, encryption/decryption, symmetric/asymmetric,
    deterministic/random, discrete/continuous, loved/hated, love/hate, strength/weakness, strengths/weaknesses,
    begin/end, begins/ends, began/ended, lend/borrow, push/pull, day/night, husband/wife, boys/girls, boy/girl,
    friend/enemy, peace/war
"""
OPPOSITES: tuple[tuple[str, str], ...] = tuple(
    (one, other) for one, _, other in (pair.strip().partition("/") for pair in _OPPOSITES.split(","))
)
"""Pairs of which one stands where the other stood and says the contrary."""

_CAUSES = """
    causes, leads to, results in, produces / is caused by, results from, is produced by, stems from, is due to
    cause, lead to, result in, produce / are caused by, result from, are produced by, stem from, are due to
    caused, led to, resulted in / was caused by, resulted from, stemmed from, was due to, were due to
    causing, leading to, resulting in / caused by, resulting from, due to, as a result of
    affects, influences / is affected by, depends on, is influenced by, is determined by
    affect, influence / are affected by, depend on, are influenced by, are determined by
    follows / is followed by, precedes
    followed / was followed by, preceded
    requires / is required by
    replaced / was replaced by
    defeated / was defeated by, lost to
    implies / follows from
"""
CAUSES: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = tuple(
    (tuple(forth.split(", ")), tuple(back.split(", ")))
    for forth, _, back in (line.strip().partition(" / ") for line in _CAUSES.strip().split("\n"))
)
"""Words that say a relation in the one direction, and words that say it in the other."""

MEN = frozenset(
    """
    Aaron Abraham Adam Adolf Alan Albert Alexander Alfred Andrew Anthony Arthur Ben Benjamin Bernard Bill Bob Brian
    Bruce Carl Charles Chris Christian Christopher Daniel David Dennis Donald Douglas Edgar Edward Elon Eric Ernest
    Francis Frank Franklin Frederick Gary George Gordon Greg Harold Harry Henry Howard Isaac Jack Jacob James Jason Jeff
    Jeffrey Jerry Jim Jimmy Joe John Johnny Jonathan Joseph Karl Kenneth Kevin Larry Leonard Louis Mark Martin Matthew
    Max Michael Mike Neil Nick Nicholas Oliver Oscar Patrick Paul Peter Philip Ralph Ray Raymond Richard Rob Robert
    Roger Ronald Roy Ryan Sam Samuel Scott Sean Simon Stanley Stephen Steve Steven Ted Theodore Thomas Tim Tom Tony
    Walter William Winston
    """.split()  # noqa: SIM905
)
WOMEN = frozenset(
    """
    Alice Amanda Amy Ana Andrea Angela Ann Anna Anne Barbara Betty Carol Caroline Catherine Charlotte Christina Claire
    Diana Diane Dorothy Elizabeth Ella Emily Emma Eva Grace Hannah Helen Irene Jane Janet Jennifer Jessica Joan Julia
    Julie Karen Kate Katherine Kelly Laura Linda Lisa Louise Lucy Margaret Maria Marie Martha Mary Megan Michelle Nancy
    Olivia Rachel Rebecca Rose Ruth Sandra Sarah Sophia Sophie Susan Sylvia Taylor Teresa Victoria Virginia
    """.split()  # noqa: SIM905
)
"""First names, by which a name is known as that of a person; "he" and "she" stay right."""
