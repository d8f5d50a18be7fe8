"""Which language a text is written in: by its script, else by its smallest words.

Enough to choose a model by, and a thousand times smaller than a classifier. It knows the languages below, and
says nothing of a text that is too short or of another one.
"""

import re

# The commonest function words that few other languages here share.
_WORDS = {
    "de": "der die das und ist nicht ein eine mit auf für den dem von zu sich auch wie wir ich wird sind bei",
    "en": "the and is of to in that it for was with this are you not have what which from how does",
    "es": "el los las y es una por con para que del se no como más pero sus qué está este cómo",
    "fr": "le les des et est une dans que pour qui sur pas avec vous nous ce sont aux cette du quel",
    "it": "il gli di che è una per non con sono della nel anche questo più alla come cosa dei",
    "nl": "de het een en van is dat niet op zijn voor met aan ook als maar er wordt hoe deze",
    "pl": "nie jest się na do to że jak ale czy od przez jego który dla oraz są co w z",
    "pt": "o os uma não que para com por mais como dos ao foi são você este isso em da qual",
    "sv": "och att det som en är på för med inte den av till har ett om vad hur",
    "tr": "ve bir bu için ile de da ne olarak daha çok gibi olan değil mi",
}
_SCRIPTS = (
    ("ja", re.compile(r"[\u3040-\u30ff]")),
    ("ko", re.compile(r"[\uac00-\ud7af]")),
    ("zh", re.compile(r"[\u4e00-\u9fff]")),
    ("ar", re.compile(r"[\u0600-\u06ff]")),
    ("he", re.compile(r"[\u0590-\u05ff]")),
    ("hi", re.compile(r"[\u0900-\u097f]")),
    ("th", re.compile(r"[\u0e00-\u0e7f]")),
    ("el", re.compile(r"[\u0370-\u03ff]")),
    ("uk", re.compile(r"[іїєґІЇЄҐ]")),
    ("ru", re.compile(r"[\u0400-\u04ff]")),
)
_BY_WORD: dict[str, list[str]] = {}
for _language, _listed in _WORDS.items():
    for _word in _listed.split():
        _BY_WORD.setdefault(_word, []).append(_language)
# A long document is not read to its end for this.
_LOOK_AT_CHARS = 4000
_SCRIPT_SHARE = 0.1
_LEAST_HITS = 2


def language_of(text: str) -> str | None:
    """Return a text's language in two letters (ISO 639-1); none when it cannot be told."""
    text = text[:_LOOK_AT_CHARS]
    letters = sum(letter.isalpha() for letter in text)
    for language, script in _SCRIPTS:
        if letters and len(script.findall(text)) / letters > (_SCRIPT_SHARE if language != "uk" else 0.02):
            return language
    hits = dict.fromkeys(_WORDS, 0.0)
    for word in re.findall(r"[^\W\d_]+", text.lower()):
        for language in _BY_WORD.get(word, ()):
            hits[language] += 1 / len(_BY_WORD[word])
    best, second = sorted(hits.values(), reverse=True)[:2]
    return max(hits, key=lambda one: hits[one]) if best >= _LEAST_HITS and best > second else None
