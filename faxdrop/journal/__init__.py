"""The journal: one line for everything that ended or was decided, chained to the line before.

``lines`` says what a line holds, ``chain`` appends, ``history`` reads, ``verify`` compares.
"""
