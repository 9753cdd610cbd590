"""The pages: sections, charts, the conversation browser.

May import: every room above.
"""
