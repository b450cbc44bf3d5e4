"""Run the product in the integration tests of its users: a broker, the five services and a fake teacher."""
