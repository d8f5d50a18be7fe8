"""The loopback model endpoint as a process of its own, and a providers.yaml that leads to it."""

import json
import subprocess
from pathlib import Path

from benchmarks.children import Children

# What DSPy's chat adapter reads as `answer: yes`, and as the field that modules/echo.py asks for. A fixed
# text, so that the endpoint costs next to nothing.
TEXT = "[[ ## answer ## ]]\nyes\n\n[[ ## repeated ## ]]\nstep\n\n[[ ## completed ## ]]\n"
MODEL = "bench"
PRICE_PER_MILLION = 1

PROVIDERS = """\
providers:
  {model}:
    kind: openai_compatible
    model: {model}
    base_url: {url}
    max_tokens: 100
    cost: {{input_per_million: {price}, output_per_million: {price}}}
{over_litellm}routing:
  default: [{model}]
"""
# The same, asked over LiteLLM: it has an option of LiteLLM's.
OVER_LITELLM = """\
  over-litellm:
    kind: openai_compatible
    model: {model}
    base_url: {url}
    max_tokens: 100
    cost: {{input_per_million: {price}, output_per_million: {price}}}
    roles: [{role}]
    options: {{drop_params: true}}
"""


def start_endpoint(children: Children, latency_ms: float = 0.0) -> str:
    """Start the endpoint and return its base URL."""
    process = children.start(
        "model-endpoint",
        *("python", "-m", "tests.fixtures.model_server", "--latency-ms", str(latency_ms), "--text", TEXT),
        output=subprocess.PIPE,
    )
    line = process.stdout.readline() if process.stdout else b""
    if not line:
        said = children.log("model-endpoint").read_text(encoding="utf-8")
        raise RuntimeError(f"the model endpoint did not start:\n{said}")
    url: str = json.loads(line)["url"]
    return url


def write_providers(folder: Path, url: str, over_litellm: str | None = None) -> Path:
    """Write a providers.yaml that leads to the endpoint; the role `over_litellm` asks it over LiteLLM."""
    path = folder / "providers.yaml"
    told = {"model": MODEL, "url": url, "price": PRICE_PER_MILLION}
    other = "" if over_litellm is None else OVER_LITELLM.format(**told, role=over_litellm)
    text = PROVIDERS.format(**told, over_litellm=other)
    path.write_text(text, encoding="utf-8")
    return path
