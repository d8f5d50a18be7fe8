"""config/providers.yaml: every mistake with its line and its remedy, and never with a key in it."""

from pathlib import Path

import pytest

from llm.providers import ROLES
from llm.providers_file import read_providers
from llm.settings import SHIPPED_PROVIDERS, LlmSettings
from runtime.errors import ConfigurationProblem

GOOD = """\
providers:
  gpt:
    kind: openai
    model: gpt-5-mini
    key_name: SOME_KEY
  own:
    kind: openai_compatible
    model: mine
    base_url: http://127.0.0.1:8000/v1
routing:
  default: [own]
  judge: [gpt, own]
"""


@pytest.fixture(autouse=True)
def _some_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOME_KEY", "a key")


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "providers.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_shipped_file_is_valid_and_enables_nothing():
    """A newcomer without a key must get the offline model, not an error and not a bill."""
    providers = read_providers(SHIPPED_PROVIDERS)

    assert {role: providers.chain(role) for role in ROLES} == dict.fromkeys(ROLES, ("offline",))
    assert LlmSettings().providers_file == SHIPPED_PROVIDERS


@pytest.mark.parametrize("kept", ["gpt", "claude", "deepseek", "qwen", "local", "own-server"])
def test_each_shipped_example_works_when_it_is_enabled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: str
):
    """What the file teaches must be true: enable one, export its key, done."""
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "DEEPSEEK_API_KEY", "DASHSCOPE_API_KEY"):
        monkeypatch.setenv(name, "some key")
    head, _, tail = SHIPPED_PROVIDERS.read_text(encoding="utf-8").partition(f"  {kept}:\n")
    text = f"{head}  {kept}:\n{tail.replace('enabled: false', 'enabled: true', 1)}"

    assert read_providers(written(tmp_path, text)).chain("chat") == (kept,)


def test_a_role_without_a_line_asks_the_default_list(tmp_path: Path):
    providers = read_providers(written(tmp_path, GOOD))

    assert providers.chain("chat") == ("own",)
    assert providers.chain("judge") == ("gpt", "own")


def test_a_disabled_deployment_is_skipped(tmp_path: Path):
    providers = read_providers(written(tmp_path, GOOD.replace("  own:\n", "  own:\n    enabled: false\n")))

    assert providers.chain("judge") == ("gpt",)
    assert providers.chain("chat") == ("offline",)


def test_offline_may_be_asked_for_by_name(tmp_path: Path):
    providers = read_providers(written(tmp_path, GOOD.replace("judge: [gpt, own]", "judge: [offline]")))

    assert providers.chain("judge") == ("offline",)


COSTS = "cost: {input_per_million: 0.12345, output_per_million: 1}"
MISTAKES = [
    (
        "    kind: openai\n",
        "    knid: openai\n",
        2,
        "`providers.gpt.kind` is missing",
        "add a line `kind: ...`",
    ),
    (
        "    kind: openai\n",
        "    knid: openai\n",
        3,
        "`providers.gpt.knid` is not known",
        "did you mean `kind`",
    ),
    ("model: gpt-5-mini", "model: ''", 4, "`providers.gpt.model` is not valid", "a length of at least 1"),
    ("key_name: SOME_KEY", "key_name: some key", 5, "`providers.gpt.key_name` is not valid", "never the key"),
    ("key_name: SOME_KEY", "key_name: OTHER_KEY", 5, "OTHER_KEY of `gpt` is not set", "export OTHER_KEY"),
    ("    key_name: SOME_KEY\n", "", 2, "`gpt` names no key", "add a line `key_name:`"),
    ("    base_url: http://127.0.0.1:8000/v1\n", "", 6, "`own` has no address", "add a line `base_url:"),
    ("http://127", "ftp://127", 9, "`providers.own.base_url` is not valid", "http(s)://host/v1"),
    ("  judge:", "  juge:", 12, "`routing.juge` is not known", "did you mean `judge`"),
    ("[own]", "[onw]", 11, "`routing.default` names `onw`", "did you mean `own`"),
    ("[own]", "[]", 11, "`routing.default` is empty", "write [offline]"),
    ("[gpt, own]", "[gpt, offline]", 12, "mixes `offline` with others", "write [offline] alone"),
    ("  own:\n", "  gpt:\n", 6, "`gpt` stands here a second time", "remove one of the two"),
    ("  own:\n", "  Own One:\n", 6, "`providers.Own One` is not known", "small letters"),
    ("  own:\n", "  offline:\n", 6, "`offline` is the built-in model", "choose another name"),
    (
        "model: mine",
        f"model: mine\n    {COSTS}",
        9,
        "own.cost.input_per_million` is not valid",
        "four decimals",
    ),
    (
        "model: mine",
        "model: mine\n    cost: {input_per_million: 1}",
        9,
        "output_per_million` is missing",
        "add",
    ),
    ("model: mine", "model: mine\n    options: {api_key: x}", 9, "looks like a secret", "key_name"),
    ("model: mine", "model: mine\n   wrong: indentation", 9, "is not YAML", "check indentation"),
    ("routing:", "policies: {timeout_seconds: -1}\nrouting:", 10, "`policies.timeout_seconds`", "above 0"),
    (
        "routing:",
        "budgets: {}\nrouting:",
        10,
        "`budgets` is not known",
        "providers, costs, routing, policies",
    ),
    ("[own]", "{ask: [own], weights: {own: 1}}", 11, "has both `ask` and `weights`", "keep one"),
    ("[own]", "{weights: {onw: 1}}", 11, "`routing.default` names `onw`", "did you mean `own`"),
    ("[own]", "{weights: {own: 0}}", 11, "`routing.default.weights.own` is not valid", "above 0"),
    ("[own]", "{ask: [own], wen: []}", 11, "`routing.default.wen` is not known", "did you mean `when`"),
    ("[own]", "{ask: [own], when: [{ask: [gpt]}]}", 11, "rule 1 of `default` holds always", "say `task`"),
    ("[own]", "{ask: [own], when: [{taks: x}]}", 11, "when.0.taks` is not known", "did you mean `task`"),
    ("[own]", "{ask: [own], when: [{task: x, ask: [onw]}]}", 11, "names `onw`", "did you mean `own`"),
    ("[own]", "{ask: [own], when: [{task: x, ask: [offline]}]}", 11, "mixes `offline`", "leave it out"),
    ("[own]", "{ask: [own], when: [{language: german, ask: [own]}]}", 11, "language.0` is", "two letters"),
    ("model: mine", "model: mine\n    cost_profile: chep", 9, "cost profile `chep`", "add it under `costs`"),
    (
        "model: mine",
        "model: mine\n    limits: {rpm: 1}",
        9,
        "limits.rpm` is not known",
        "requests_per_minute",
    ),
    (
        "model: mine",
        "model: mine\n    roles: [chta]",
        9,
        "`providers.own.roles.0` is not",
        "write one of 'chat'",
    ),
    ("[own]", "own", 11, "`routing.default` is not valid", "`default: [gpt, claude]`"),
    ("[own]", "{ask: own}", 11, "`routing.default.ask` is not valid", "write a list"),
    ("[own]", "{weights: [own]}", 11, "`routing.default.weights` is not valid", "`name: value` lines"),
    ("model: mine", "model: mine\n    max_tokens: many", 9, "max_tokens` is not valid", "a whole number"),
    ("model: mine", "model: mine\n    temperature: 3", 9, "temperature` is not valid", "of at most 2"),
    ("model: mine", "model: 7", 8, "`providers.own.model` is not valid", "write a text"),
    ("routing:", "cache: {ttl_seconds: .inf}\nrouting:", 10, "`cache.ttl_seconds` is not", "a number"),
    ("routing:", "cache: {ttl_seconds: 1.0e+12}\nrouting:", 10, "`cache.ttl_seconds` is not", "at most"),
    ("routing:", "cache: {exact: {chat: often}}\nrouting:", 10, "`cache.exact.chat` is not", "'always'"),
    ("routing:", "arena: {chat: {least: 3, most: 1}}\nrouting:", 10, "`arena.chat` is not", "correct one"),
    ("routing:", "admin: {probe_paid: maybe}\nrouting:", 10, "admin.probe_paid`", "write true or false"),
    ("[own]", "&own [*own]", 11, "this part contains itself", "write it out"),
    ("routing:", "admin: {reload: 1}\nrouting:", 10, "`admin.reload` is not known", "reload_seconds"),
]


@pytest.mark.parametrize(("old", "new", "line", "what", "remedy"), MISTAKES)
def test_a_mistake_is_told_with_its_line_and_its_remedy(
    tmp_path: Path, old: str, new: str, line: int, what: str, remedy: str
):
    assert old in GOOD
    path = written(tmp_path, GOOD.replace(old, new, 1))

    with pytest.raises(ConfigurationProblem) as caught:
        read_providers(path)

    told = [one for one in str(caught.value).split("\n") if what in one]
    assert told, str(caught.value)
    assert told[0].startswith(f"{path}:{line}: ")
    assert remedy in told[0]


def test_all_mistakes_are_told_at_once(tmp_path: Path):
    """Correcting a file one error per start is a bad afternoon."""
    text = GOOD.replace("kind: openai\n", "kind: Open AI\n").replace("[own]", "[onw]").replace("mine", "''")

    with pytest.raises(ConfigurationProblem) as caught:
        read_providers(written(tmp_path, text))

    assert caught.value.code == "bad_providers"
    assert [problem["line"] for problem in caught.value.detail["problems"]] == [3, 8]


@pytest.mark.parametrize("place", ["key_name: SOME_KEY", "model: gpt-5-mini", "[own]"])
def test_a_key_in_the_file_is_found_and_not_repeated(tmp_path: Path, place: str):
    secret = "sk-proj-abcdefghijklmnop1234"
    words = place.partition(":")[0]
    text = GOOD.replace(place, f"[{secret}]" if place == "[own]" else f"{words}: {secret}")

    with pytest.raises(ConfigurationProblem) as caught:
        read_providers(written(tmp_path, text))

    assert "a value looks like a key" in str(caught.value)
    assert secret not in repr(caught.value)


def test_a_key_in_dot_env_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("SOME_KEY")
    (tmp_path / ".env").write_text("SOME_KEY=from the file\n")

    assert read_providers(written(tmp_path, GOOD)).chain("judge") == ("gpt", "own")


def test_a_file_that_is_not_there_is_a_problem_when_it_was_asked_for(tmp_path: Path):
    with pytest.raises(ConfigurationProblem, match="PROVIDERS_FILE"):
        read_providers(tmp_path / "missing.yaml")


def test_a_file_that_is_no_text_says_how_to_save_it(tmp_path: Path):
    path = tmp_path / "providers.yaml"
    path.write_bytes("providers: {} # für".encode("latin-1"))
    with pytest.raises(ConfigurationProblem, match="save it as UTF-8"):
        read_providers(path)


def test_an_empty_file_configures_nothing(tmp_path: Path):
    assert read_providers(written(tmp_path, "# nothing yet\n")).chain("chat") == ("offline",)


SEMANTIC = """\
providers:
  own: {kind: openai_compatible, model: mine, base_url: "http://127.0.0.1:8000/v1"}
  small: {kind: openai_compatible, model: small, base_url: "http://127.0.0.1:8000/v1"}
  less: {kind: openai_compatible, model: less, base_url: "http://127.0.0.1:8000/v1"}
routing:
  default: [own]
  embedder: [small]
cache:
  semantic:
    chat: {mode: shadow}
"""


def test_an_embedder_answers_nobody_and_is_answered_for_by_nobody(tmp_path: Path):
    providers = read_providers(written(tmp_path, SEMANTIC))

    assert (providers.chain("chat"), providers.chain("embedder")) == (("own",), ("small",))
    without = SEMANTIC.replace("  embedder: [small]\n", "")
    assert read_providers(written(tmp_path, without)).chain("embedder") == ("offline",)


@pytest.mark.parametrize(
    ("old", "new", "line", "said", "remedy"),
    [
        ("[small]", "[small, less]", 7, "vectors cannot be compared", "name one"),
        ("default: [own]", "default: [own, small]", 6, "makes vectors", "remove it there"),
        ("cache:\n", "cache:\n  exact: {chat: never}\n", 11, "has no effect", "chat: always"),
        ("mode: shadow", "mode: guess", 10, "semantic.chat.mode", "shadow (only tells"),
        ("mode: shadow", "similarity: 2", 10, "similarity", "from 0.5 to 1"),
        ("    chat:", "    embedder:", 10, "embedder", "chat"),
    ],
    ids=["two embedders", "in default", "exact never", "mode", "similarity", "no role of answers"],
)
def test_a_mistake_about_the_semantic_cache_is_told_with_its_line_and_remedy(
    tmp_path: Path, old: str, new: str, line: int, said: str, remedy: str
):
    with pytest.raises(ConfigurationProblem) as caught:
        read_providers(written(tmp_path, SEMANTIC.replace(old, new, 1)))

    (problem, *_) = caught.value.detail["problems"]
    assert problem["line"] == line
    assert said in problem["what"]
    assert remedy in problem["remedy"]
