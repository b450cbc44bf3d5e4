"""HTTP/1.1 on both sides: the server for clients, the client for teachers."""
