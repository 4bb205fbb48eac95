"""Words by type, so that a swap stays believable: a month for a month, a country for a country, a unit for a unit."""

TYPES: dict[str, tuple[str, ...]] = {
    "month": (
        "January", "February", "March", "April", "June", "July", "August", "September", "October", "November",
        "December",
    ),
    "weekday": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "country": (
        "Argentina", "Australia", "Austria", "Belgium", "Brazil", "Canada", "Chile", "China", "Colombia", "Cuba",
        "Denmark", "Egypt", "England", "Ethiopia", "Finland", "France", "Germany", "Greece", "Hungary", "India",
        "Indonesia", "Iran", "Iraq", "Ireland", "Israel", "Italy", "Japan", "Kenya", "Korea", "Mexico", "Morocco",
        "Nepal", "Netherlands", "Nigeria", "Norway", "Pakistan", "Peru", "Philippines", "Poland", "Portugal",
        "Romania", "Russia", "Scotland", "Spain", "Sweden", "Switzerland", "Thailand", "Turkey", "Ukraine",
        "Vietnam", "Wales",
    ),
    "nationality": (
        "American", "Australian", "Austrian", "Belgian", "Brazilian", "British", "Canadian", "Chinese", "Danish",
        "Dutch", "Egyptian", "English", "Finnish", "French", "German", "Greek", "Hungarian", "Indian", "Irish",
        "Italian", "Japanese", "Korean", "Mexican", "Norwegian", "Polish", "Portuguese", "Roman", "Russian",
        "Scottish", "Spanish", "Swedish", "Swiss", "Turkish",
    ),
    "continent": ("Africa", "Antarctica", "Asia", "Europe", "North America", "South America"),
    "city": (
        "Amsterdam", "Athens", "Atlanta", "Barcelona", "Beijing", "Berlin", "Boston", "Cairo", "Chicago", "Dallas",
        "Delhi", "Denver", "Detroit", "Dublin", "Houston", "Istanbul", "London", "Los Angeles", "Madrid", "Melbourne",
        "Miami", "Montreal", "Moscow", "Mumbai", "Munich", "New York City", "Paris", "Philadelphia", "Prague", "Rome",
        "San Francisco", "Seattle", "Seoul", "Shanghai", "Singapore", "Stockholm", "Sydney", "Tokyo", "Toronto",
        "Vienna",
    ),
    "state": (
        "Alabama", "Alaska", "Arizona", "Arkansas", "California", "Colorado", "Connecticut", "Florida", "Hawaii",
        "Idaho", "Illinois", "Indiana", "Iowa", "Kansas", "Kentucky", "Louisiana", "Maine", "Maryland",
        "Massachusetts", "Michigan", "Minnesota", "Missouri", "Montana", "Nebraska", "Nevada", "New Jersey",
        "New Mexico", "North Carolina", "Ohio", "Oklahoma", "Oregon", "Pennsylvania", "Tennessee", "Texas", "Utah",
        "Vermont", "Virginia", "Wisconsin", "Wyoming",
    ),
    "planet": ("Mercury", "Venus", "Mars", "Jupiter", "Saturn", "Uranus", "Neptune"),
    "direction": ("north", "south", "east", "west"),
    "side": ("northern", "southern", "eastern", "western"),
    "language": ("Arabic", "Hindi", "Latin", "Hebrew", "Persian", "Mandarin", "Sanskrit", "Swahili"),
    "element": (
        "hydrogen", "helium", "carbon", "nitrogen", "oxygen", "sodium", "magnesium", "aluminum", "sulfur", "chlorine",
        "potassium", "calcium", "iron", "copper", "zinc", "silver", "mercury",
    ),
    "colour": ("red", "orange", "yellow", "green", "blue", "purple", "brown", "white", "black"),
    "numeral": ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "twelve"),
    "ordinal": ("second", "third", "fourth", "fifth", "sixth", "seventh"),
    "length": ("millimeters", "centimeters", "meters", "kilometers", "inches", "feet", "yards", "miles"),
    "weight": ("milligrams", "grams", "kilograms", "ounces", "pounds", "tons"),
    "time": ("seconds", "minutes", "hours", "days", "weeks", "months", "years", "decades", "centuries"),
    "volume": ("milliliters", "liters", "gallons", "cups", "teaspoons", "tablespoons"),
    "magnitude": ("thousand", "million", "billion", "trillion"),
    "short unit": ("mm", "cm", "km", "kg", "mg", "ml", "GB", "MB", "kHz", "MHz", "GHz", "ms"),
}  # fmt: skip

OPPOSITES: dict[str, str] = {
    "always": "never", "increase": "decrease", "increases": "decreases", "increased": "decreased",
    "higher": "lower", "highest": "lowest", "more": "less", "larger": "smaller",
    "largest": "smallest", "before": "after", "above": "below", "faster": "slower", "best": "worst",
    "better": "worse", "hot": "cold", "early": "late", "first": "last", "maximum": "minimum", "longer": "shorter",
    "stronger": "weaker", "positive": "negative", "safe": "dangerous", "cheaper": "more expensive",
    "inside": "outside", "older": "younger", "easier": "harder", "heavier": "lighter", "true": "false",
    "majority": "minority",
}  # fmt: skip
