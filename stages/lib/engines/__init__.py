"""Engines that answer chats: vLLM, an OpenAI-compatible server, an echo for tests; supervised in their own process.

May import: settings and below.
"""
