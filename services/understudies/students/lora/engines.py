"""Create the engine that the settings name."""

from understudies.runtime.settings import settings_from
from understudies.students.lora.engine import LoraEngine
from understudies.students.lora.llama_cpp import LlamaCppEngine
from understudies.students.lora.settings import LoraServingSettings
from understudies.students.lora.vllm import VllmEngine


def create_engine(settings: LoraServingSettings | None = None) -> LoraEngine:
    """Return vLLM if a server is named, else llama.cpp; settings are by default those of the environment.

    Raises ConfigurationError for settings that do not go together.
    """
    settings = settings or settings_from(LoraServingSettings)
    return VllmEngine(settings) if settings.vllm_urls else LlamaCppEngine(settings)
