"""A small-scale proof of identity tokens: drawn people, a tiny LLaVA, enrolment, ablations."""
