"""Answers used again for questions that mean the same: embeddings find them, a guard lets few of them pass.

A similarity says how near two questions are, never that they want the same answer ("allowed" and "not
allowed" are 0.94 similar), so `guard` has the last word. From question to answer: `question` takes the one
text that may differ out of a request, `embedding` asks for its vector through the journal, `shelf` finds
the nearest kept question, `guard` compares the words, and `reuse` puts these together behind `llm.cache`.
"""
