"""The sections of the page: each is a module with its template beside it, named once in the list of `index`.

May import: the modules of the report and every room above; never one another.
"""
