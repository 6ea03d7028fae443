"""The token of rehearsals. A module of its own, so that the simulator loads next to nothing."""

SIMULATED = {"TOKEN_ID": "token-FAXSIM", "TOKEN": "5f0fa5ed-0000-4000-8000-000000000000"}
"""What the simulator takes: it opens nothing, and has the form that sipgate's libraries ask for."""
