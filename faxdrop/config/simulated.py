"""The token of rehearsals. No more is in here: the simulator is to load next to nothing."""

SIMULATED = {"TOKEN_ID": "token-FAXSIM", "TOKEN": "5f0fa5ed-0000-4000-8000-000000000000"}
"""What the simulator takes: it opens nothing, and has the form that sipgate's libraries ask for."""
