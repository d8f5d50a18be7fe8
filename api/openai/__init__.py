"""The API in OpenAI's words: chat completions whose models are roles, pipelines and agents."""
