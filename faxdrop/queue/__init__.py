"""Which job takes its next step, and what holds it back."""
