"""The recorded part of an OpenAI chat completion: the request and the answer."""

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    model_validator,
)

from understudies.events.json_values import Json, JsonObject
from understudies.events.money import Usd


def _to_lower_case(role: object) -> object:
    return role.lower() if isinstance(role, str) else role


Role = Annotated[
    Literal["system", "developer", "user", "assistant", "tool", "function"],
    BeforeValidator(_to_lower_case),
]
"""The role of a message's author; read in any case, stored in lower case."""


class FunctionCall(BaseModel):
    """The name of a called function and its arguments as JSON text, or of a custom tool and its input unchanged."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    arguments: str = "{}"


class ToolCall(BaseModel):
    """One tool call in an assistant's answer."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str = ""
    type: Literal["function", "custom"] = "function"
    function: FunctionCall

    @model_validator(mode="before")
    @classmethod
    def _convert_custom_call(cls, call: Any) -> Any:
        """Convert a custom tool's call from the providers' format."""
        custom = call.get("custom") if isinstance(call, dict) else None
        if not isinstance(custom, dict) or "function" in call:
            return call
        function = {"name": custom.get("name"), "arguments": custom.get("input", "")}
        return {**call, "type": "custom", "function": function}


class Message(BaseModel):
    """One message of a chat; content is text, a list of content parts, or empty beside tool calls."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    role: Role
    content: str | list[JsonObject] | None = None
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] | None = None
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        """The text of the message, without parts that are not text."""
        if self.content is None:
            return ""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(str(part["text"]) for part in self.content if isinstance(part.get("text"), str))

    @property
    def has_more_than_text(self) -> bool:
        """Return whether the content has parts that `text` does not tell, such as images, files and audio."""
        return isinstance(self.content, list) and not all(map(_is_text, self.content))

    @property
    def has_media(self) -> bool:
        """Return whether the content has parts that are said in no text at all: audio, images, videos or files."""
        return isinstance(self.content, list) and any(part.get("type") in MEDIA_PARTS for part in self.content)


_TEXT_PARTS = ("text", "refusal")
MEDIA_PARTS = (
    *("audio", "input_audio", "output_audio", "image", "image_url", "input_image", "output_image", "video"),
    *("video_url", "file", "input_file", "document", "media"),
)
"""The types of parts without a text."""


def _is_text(part: JsonObject) -> bool:
    return part["type"] in _TEXT_PARTS if "type" in part else isinstance(part.get("text"), str)


class Request(BaseModel):
    """The agent's request: the messages, and everything else that determines the answer."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    messages: tuple[Message, ...] = Field(min_length=1)
    tools: tuple[JsonObject, ...] | None = None
    tool_choice: Json = None
    response_format: JsonObject | None = None
    temperature: float | None = Field(default=None, allow_inf_nan=False)
    parameters: JsonObject = Field(
        default_factory=dict, description="other parameters of the call, such as max_tokens or seed"
    )

    @property
    def system(self) -> str:
        """The text of the system and developer messages."""
        return "\n".join([m.text for m in self.messages if m.role in ("system", "developer")])


MAX_TOKENS = 2**32 - 1
"""The largest token count that is plausible."""


class UsageDetails(BaseModel):
    """What else of a call has a price of its own; tokens here are among those of the usage."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    cache_write_tokens: int = Field(default=0, ge=0, description="prompt tokens written to the provider's cache")
    cache_write_1h_tokens: int = Field(default=0, ge=0, description="those of them that are kept for an hour")
    audio_prompt_tokens: int = Field(default=0, ge=0)
    audio_completion_tokens: int = Field(default=0, ge=0)
    web_searches: int = Field(default=0, ge=0, description="searches of the web that the provider made")
    service_tier: str = Field(
        default="",
        description="tier that served the call, such as flex, priority or batch, "
        "and where it had to run if that has a price of its own: batch+us",
    )
    stated_cost_usd: Usd | None = Field(default=None, ge=0, description="cost that the provider states itself")

    @property
    def is_plausible(self) -> bool:
        """Return whether no count is larger than a store can hold."""
        counts = (self.cache_write_tokens, self.cache_write_1h_tokens, self.audio_prompt_tokens)
        return max(*counts, self.audio_completion_tokens, self.web_searches) <= MAX_TOKENS


class Usage(BaseModel):
    """Token counts of one call."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    prompt_tokens: int = Field(default=0, ge=0)
    completion_tokens: int = Field(default=0, ge=0)
    cached_tokens: int = Field(default=0, ge=0)
    details: UsageDetails | None = Field(default=None, description="what else has a price; absent if nothing has")

    @property
    def counted(self) -> bool:
        """Return whether tokens were counted: no call has zero tokens, or more than the store can hold."""
        return 0 < max(self.prompt_tokens, self.completion_tokens) <= MAX_TOKENS

    @property
    def plausible(self) -> "Usage":
        """The usage without counts that are larger than a store can hold, as nobody counted those."""
        counts = self.model_dump(exclude={"details"})
        details = self.details if self.details is None or self.details.is_plausible else None
        if details is self.details and all(count <= MAX_TOKENS for count in counts.values()):
            return self
        return Usage(details=details, **{name: count for name, count in counts.items() if count <= MAX_TOKENS})


class LabelProbability(BaseModel):
    """A possible value of an answer, and the probability that the teacher gives it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    value: StrictStr | StrictBool | StrictInt
    probability: float = Field(ge=0, le=1)


class Response(BaseModel):
    """The answer: the assistant's message and its finish reason."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    message: Message
    finish_reason: str | None = None
    probabilities: dict[str, tuple[LabelProbability, ...]] | None = Field(
        default=None, description="soft labels of a decision API: the probabilities of all values, by question"
    )

    @property
    def says_something(self) -> bool:
        """Return whether there is an answer: text, even an empty one, or tool calls, in a turn that does not go on.

        One with audio or images is none, as nobody can learn from it what it says.
        """
        message = self.message
        is_said = message.content is not None or bool(message.tool_calls)
        return is_said and not self.goes_on and not message.has_media

    @property
    def goes_on(self) -> bool:
        """Return whether a later call continues the turn."""
        return self.finish_reason in _UNFINISHED


_UNFINISHED = frozenset({"pause_turn", "compaction"})
"""Reasons for which a provider interrupts a turn that a later call continues."""


def request_of(body: dict[str, Any]) -> Request:
    """Parse the body of a chat completion call; raises pydantic's ValidationError."""
    fields: dict[str, Any] = {}
    parameters: dict[str, Any] = {}
    for key, value in body.items():
        if key in _REQUEST_FIELDS:
            if value is not None:
                fields[key] = value
        elif key not in _NON_INPUT_FIELDS:
            parameters[key] = value
    fields["parameters"] = parameters
    request: Request = Request.__pydantic_validator__.validate_python(fields)
    return request


_REQUEST_FIELDS = frozenset({"messages", "tools", "tool_choice", "response_format", "temperature"})
_NON_INPUT_FIELDS = frozenset({"model", "stream", "stream_options", "user", "metadata", "store", "extra_headers"})
