"""Decision APIs: OpenAI's Decisions and TypeSafe's System One answer closed questions with probabilities."""
