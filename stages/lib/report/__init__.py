"""The report: its page with sections and charts, the conversation browser, and the headlines.

May import: every room above.
"""
