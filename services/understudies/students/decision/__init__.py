"""Ask decision APIs: a closed question about each request, answered with the probability of every choice."""
