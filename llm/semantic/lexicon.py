"""English words by what they do in a question. Data only; `plain` says how it is used.

A word stands here when leaving it out, or putting it in place of another one, changes no answer that anybody
would give. When in doubt it does not: a missing word costs a call, a wrong one gives a wrong answer.
"""


def row(words: str) -> tuple[str, ...]:
    """Return the words of a text in their order."""
    return tuple(words.split())


def bag(words: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(words.split())


# Left out wherever they stand: they carry grammar or politeness.
DROPPED = bag(
    "a an the is are am be being do does there please kindly actually basically really exactly quite"
)
# With one of these in it, a short text counts as English.
ENGLISH = bag(
    "what how who whom whose when where why which the can could should would does did is are was were"
    " please i my you your tell show explain write give and of not this"
)

# No other language here has these; one of them makes a text in plain letters English.
SURELY_ENGLISH = bag(
    "what how who whom when where why which the should would could does did your please tell show"
)

# One word for several. Spellings, short forms, and the few synonyms that hold in almost every question.
SAME = {
    word: group.split()[0]
    for group in (
        "buy purchase",
        "begin start",
        "big large",
        "fast quick",
        "ill sick",
        "fix repair",
        "choose select",
        "help assist",
        "show display",
        "need require",
        "needed required",
        "quickest fastest",
        "biggest largest",
        "closest nearest",
        "allow permit",
        "allowed permitted",
        "forbidden prohibited",
        "car automobile",
        "movie film",
        "phone telephone",
        "photo photograph",
        "child kid",
        "doctor physician",
        "lawyer attorney",
        "bike bicycle",
        "sofa couch",
        "tv television",
        "email e-mail",
        "emails e-mails",
        "info information",
        "advertisement ad advert",
        "database db",
        "folder directory",
        "config configuration",
        "repo repository",
        "docs documentation",
        "javascript js",
        "typescript ts",
        "kubernetes k8s",
        "postgresql postgres",
        "ml machine-learning",
        "ai artificial-intelligence",
        "vs versus v",
        "max maximum",
        "usa u.s. u.s.a.",
        "uk u.k.",
        "what which",
        "who whom",
        "till until",
        "toward towards",
        "quickly rapidly",
        "now currently presently nowadays",
        "percent %",
        "and &",
        "colour color",
        "favourite favorite",
        "behaviour behavior",
        "centre center",
        "grey gray",
        "theatre theater",
        "licence license",
        "travelling traveling",
        "catalogue catalog",
        "programme program",
        "tyre tire",
        "aeroplane airplane",
        "neighbour neighbor",
        "flavour flavor",
        "humour humor",
        "labour labor",
        "organise organize",
        "summarise summarize",
        "recognise recognize",
        "analyse analyze",
        "optimise optimize",
        "initialise initialize",
        "apologise apologize",
        "organisation organization",
        "cancelled canceled",
        "defence defense",
        "fulfil fulfill",
        "jewellery jewelry",
        "aluminium aluminum",
        "maths math mathematics",
        "mom mum mother",
        "dad father",
    )
    for word in group.split()
}
# Verbs whose -ing form may stand for them: "the way of installing it", "when travelling".
VERBS = row(
    "add avoid become bake book boot bring build buy calculate cancel change charge check choose clean"
    " close compare compile connect convert cook copy count create cut debug define delete deploy"
    " describe disable download draw drink drive drop eat edit enable explain export filter find fix fly"
    " format get give go grow handle import improve insert install invest join keep learn leave lift"
    " list load lose make measure merge move open order paint park pay plan plant play prepare print"
    " read receive record reduce remove rename replace reset restart restore return run save search sell"
    " send set share show sleep solve sort speak start stop store study swim switch take teach test"
    " throw train translate travel treat try turn type uninstall update upgrade upload use visit wait"
    " walk wash watch wear win work write"
)
# Not plurals, though they end so.
NO_PLURAL = bag(
    "always as bus was has his its this thus us yes less news series species gas lens plus minus ios"
    " aws dns https css js sms gps os kubernetes postgres redis rails express pandas physics mathematics"
    " economics politics sales jeans pants clothes thanks means across process access address business"
    " class boss perhaps besides towards mars texas paris athens brussels wales netherlands philippines"
    " windows sometimes afterwards regardless unless whereas whose does"
)
# Behind these a plural says how many are meant: "delete the file" is not "delete the files".
DEFINITE = bag("the this that these those my your his her our their its")

# Words that mean something else with a capital, inside a sentence.
CAPITALISED = bag(
    "us it who am polish turkey china march may apple windows word excel access outlook teams chrome"
    " safari amazon jordan georgia reading nice mobile bill will mark rich frank grace hope art august"
    " sun mercury saturn mars go rust swift shell oracle meta aids pin cat c r"
)

NEGATIONS = bag(
    "not no never none nobody nothing nowhere neither nor without cannot hardly barely scarcely except"
    " excluding unless lack lacks lacking avoid prevent refuse deny fail forbid forbidden prohibited"
    " illegal unlike"
)
QUESTIONS = bag("what who when where why how how-to whose whether")
QUANTITIES = bag(
    "all any some every each both either most many much few fewer several only just almost nearly about"
    " approximately roughly least always often sometimes usually rarely ever else other another whole"
    " entire half part total average mean median exactly"
)
MODALS = bag("can could may might must should shall would ought")
TENSES = bag(
    "was were did had has have been will going used ago before after since until still already yet"
    " anymore soon later formerly previously past future"
)
PERSONS = bag(
    "i me my mine myself you your yours we us our ours he him his she her hers they them their theirs"
    " it its this that these those"
)
COMPARISONS = bag(
    "more less most least than better best worse worst same different similar equal above below over"
    " under versus vs like unlike as"
)
DATES = bag(
    "today tomorrow yesterday tonight now next last previous current this monday tuesday wednesday"
    " thursday friday saturday sunday weekend weekday spring summer autumn winter morning afternoon"
    " evening night noon midnight january february march april june july august september october"
    " november december bc ad easter christmas daily weekly monthly yearly annually hourly quarterly"
)
MONTHS = row("january february march april may june july august september october november december")

# Prepositions begin a part of a sentence that may stand elsewhere in it.
PREPOSITIONS = bag(
    "in on at for with without from to into onto by of about during since until through over under"
    " between among against within per via near above below behind beside inside outside across around"
    " towards using upon off"
)
# Of those, the ones that say where, when, for whom: "of" and "with" belong to the word before them.
MOVING = bag("in on at for from to by during since until via per within near")
# These are such a part by themselves.
TIMES = bag("now today tomorrow yesterday tonight")
# With one of these, the order of everything else is part of the meaning.
ORDERED = bag(
    "than vs or and but then if unless because while whereas before after as like not no never only"
    " that instead rather"
)
# So it is with the second one of these: the first one only asks.
ASKING_WORDS = bag("what who whose when where why how")

UNITS = {
    word: group.split()[0]
    for group in (
        "km kilometer kilometers kilometre kilometres kms",
        "m meter meters metre metres",
        "cm centimeter centimeters centimetre centimetres",
        "mm millimeter millimeters millimetre millimetres",
        "mi mile miles",
        "ft foot feet",
        "inch inches",
        "yd yard yards",
        "kg kilogram kilograms kilo kilos kilogramme kilogrammes",
        "g gram grams gramme grammes",
        "mg milligram milligrams",
        "lb lbs",
        "pound pounds",
        "oz ounce ounces",
        "l liter liters litre litres",
        "ml milliliter milliliters millilitre millilitres",
        "gal gallon gallons",
        "s sec secs seconds",
        "min mins minute minutes",
        "h hr hrs hour hours",
        "day days",
        "week weeks",
        "month months",
        "year years yr yrs",
        "ms millisecond milliseconds",
        "celsius °c centigrade",
        "fahrenheit °f",
        "kelvin",
        "kb kilobyte kilobytes",
        "mb megabyte megabytes",
        "gb gigabyte gigabytes",
        "tb terabyte terabytes",
        "mph",
        "kph km/h kmh",
        "dollar dollars $ bucks",
        "usd",
        "euro euros € eur",
        "gbp £ quid",
        "yen ¥ jpy",
        "rupee rupees ₹ inr",
        "percent %",
        "kw kilowatt kilowatts",
        "w watt watts",
        "v volt volts",
        "kcal calorie calories",
        "degree degrees °",
        "cup cups",
        "tablespoon tablespoons tbsp",
        "teaspoon teaspoons tsp",
    )
    for word in group.split()
}

ONES = row(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
    " sixteen seventeen eighteen nineteen"
)
TENS = row("twenty thirty forty fifty sixty seventy eighty ninety")
SCALES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
ORDINALS = row(
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth"
    " fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
)
OTHER_NUMBERS = bag("half quarter double triple once twice thrice dozen couple pair zeroth")
