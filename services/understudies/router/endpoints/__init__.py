"""ASGI endpoints: dispatch, authentication, admission, request bodies, responses and errors."""
