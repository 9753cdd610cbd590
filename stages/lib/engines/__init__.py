"""What answers a chat: vLLM, an OpenAI-compatible server, an echo for tests; supervised in a process of its own.

May import: settings and below.
"""
