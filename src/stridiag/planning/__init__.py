"""Room 2: what is decided from the structure alone: the method, its order, its cost."""

from stridiag.planning.plan import Method, Operations, Plan, plan

__all__ = ["Method", "Operations", "Plan", "plan"]
