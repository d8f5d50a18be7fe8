"""Acting as an agent: which tool to call for a question, with which arguments, and when to stop.

A question is put to each tool that speaks of it at most once; what came back is then the material.
"""

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llm.offline.extract import asks_for_name, proper_name
from llm.offline.fields import Found, Schema
from llm.offline.reading import Reading
from llm.offline.turns import CALLS
from llm.offline.words import listed, stems

NEXT_TOOL, TOOL_ARGUMENTS = "next_tool_name", "next_tool_args"  # the fields of DSPy's ReAct
_LAST_TOOLS = ("submit", "finish")
_TOOL = re.compile(
    r"(?P<name>[\w.-]+)(?:, whose description is <desc>(?P<desc>.*?)</desc>)?\. +"
    r"It takes arguments (?P<args>\{.*?\})\.?(?=\"|\)|\n|$|', ')",
    re.DOTALL,
)
_QUOTED = re.compile(r"[\"'\u201c`]([^\"'\u201d`]{2,200})[\"'\u201d`]")
_CALLED = re.compile(r'"name": ?"([\w.-]+)"|tool_name_\d+ ## \]\]\s*([\w.-]+)')

Fill = Callable[[str, Schema], Any]


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool as the prompt describes it; `args` maps each argument to its JSON Schema."""

    name: str
    description: str
    args: dict[str, Schema]


def tools(reading: Reading) -> list[Tool]:
    """Return the tools that a prompt offers, in its inputs or its instructions."""
    text = reading.prompt.inputs.get("tools", "").replace('\\"', '"') or reading.prompt.instructions
    found = []
    for match in _TOOL.finditer(text):
        try:
            args = ast.literal_eval(match["args"])
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            args = {}
        found.append(
            Tool(match["name"], (match["desc"] or "").strip(), args if isinstance(args, dict) else {})
        )
    return found


def next_tool(reading: Reading) -> tuple[Tool | None, str]:
    """Return the tool to call now and why: the one that fits the question best, or the last one when done."""
    offered = tools(reading)
    last = next((tool for tool in offered if tool.name in _LAST_TOOLS), None)
    done = already_called(reading)
    asked = set(stems(reading.question))
    useful = [tool for tool in offered if tool is not last and tool.name not in done]
    fit = {tool.name: len(asked & set(stems(f"{tool.name} {tool.description}"))) for tool in useful}
    best = max(useful, key=lambda tool: fit[tool.name], default=None)
    if best and (fit[best.name] or not done):
        return best, f"Nothing is known yet; {best.name} fits the question best."
    return last, f"{listed(done) or 'No tool'} has answered; that is what there is to go on."


def arguments(tool: Tool, reading: Reading, fill: Fill) -> dict[str, Any]:
    """Return arguments for a tool: numbers and texts of the question in their order; no defaults."""
    if tool.name in _LAST_TOOLS:
        return {name: fill(name, schema) for name, schema in tool.args.items() if isinstance(schema, dict)}
    quoted = _QUOTED.search(reading.question)
    numbers = re.findall(r"-?\d+(?:\.\d+)?", reading.question)
    filled: dict[str, Any] = {}
    for name, schema in tool.args.items():
        if not isinstance(schema, dict) or "default" in schema:
            continue
        kind = schema.get("type", "string")
        if kind in {"integer", "number"} and numbers:
            number = float(numbers.pop(0))
            filled[name] = int(number) if kind == "integer" else number
        elif kind == "string" and "enum" not in schema:
            named = proper_name(reading.question) if asks_for_name(name) else None
            filled[name] = quoted[1] if quoted else named or reading.question
        else:
            filled[name] = fill(name, schema)
    return filled


def calls(reading: Reading, fill: Fill) -> Found:
    """Return the next tool calls in DSPy's form."""
    tool, reason = next_tool(reading)
    if tool is None:
        return Found({"tool_calls": []}, "There is no tool to call.")
    return Found({"tool_calls": [{"name": tool.name, "args": arguments(tool, reading, fill)}]}, reason)


def already_called(reading: Reading) -> list[str]:
    """Return the names of the tools that were called before, in this prompt's history or trajectory."""
    text = reading.prompt.inputs.get("trajectory", "")
    for turn in reading.prompt.history:
        text += str(turn.answered.get(CALLS, ""))
    return list(dict.fromkeys(first or second for first, second in _CALLED.findall(text)))
