"""Define every span and attribute name in one place.

Messaging attributes follow the OpenTelemetry semantic conventions for messaging systems, and model calls those for
generative AI, as of version 0.1.0 of their own repository; names that they do not cover begin with `understudies.`.
"""

from typing import Final

# Spans
PUBLISH: Final = "publish"
PROCESS: Final = "process"
CHAT: Final = "chat"
DECIDE: Final = "decide"

# Messaging
MESSAGING_SYSTEM: Final = "messaging.system"
MESSAGING_OPERATION: Final = "messaging.operation.type"
MESSAGING_DESTINATION: Final = "messaging.destination.name"
MESSAGING_BATCH_SIZE: Final = "messaging.batch.message_count"
MESSAGING_GROUP: Final = "messaging.consumer.group.name"

# Generative AI
GEN_AI_OPERATION: Final = "gen_ai.operation.name"
GEN_AI_PROVIDER: Final = "gen_ai.provider.name"
GEN_AI_REQUEST_MODEL: Final = "gen_ai.request.model"
GEN_AI_RESPONSE_MODEL: Final = "gen_ai.response.model"
GEN_AI_STREAM: Final = "gen_ai.request.stream"
GEN_AI_CONVERSATION: Final = "gen_ai.conversation.id"
GEN_AI_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
GEN_AI_CACHE_READ_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
GEN_AI_CACHE_WRITE_TOKENS: Final = "gen_ai.usage.cache_write.input_tokens"
ERROR_TYPE: Final = "error.type"
GEN_AI_INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
GEN_AI_OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"

# Understudies
TASK: Final = "understudies.task"
STUDENT: Final = "understudies.student"
SERVED_BY: Final = "understudies.served_by"
REASON: Final = "understudies.route.reason"
COST_USD: Final = "understudies.cost_usd"
INVOCATION: Final = "understudies.invocation"
CONFIDENCE: Final = "understudies.confidence"
TENANT: Final = "understudies.tenant"
STAGE: Final = "understudies.stage"
