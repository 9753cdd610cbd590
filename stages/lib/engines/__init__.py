"""Engines that answer chats: vLLM, an OpenAI-compatible server, an echo for tests; supervised in their own process,
or as replicas on a Ray cluster.

May import: settings and below.
"""
