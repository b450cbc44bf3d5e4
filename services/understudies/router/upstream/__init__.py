"""The router's client side for teachers: select a teacher for a model, and call it."""
