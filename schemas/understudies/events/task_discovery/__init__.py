"""Discover the task of a call from its system prompt; infer templates from prompts."""
