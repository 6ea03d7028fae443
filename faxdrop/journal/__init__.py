"""The journal: one line for everything that ended or was decided, each chained to the one before.

``lines`` says what a line holds, ``chain`` appends, ``history`` reads, ``verify`` compares.
"""
