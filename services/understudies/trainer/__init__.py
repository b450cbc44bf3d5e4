"""The trainer: makes the cheapest student that a task's recorded calls allow, or says why there is none."""

from understudies.trainer.app import TrainerApp, create_app
from understudies.trainer.settings import TrainerSettings

__all__ = ["TrainerApp", "TrainerSettings", "create_app"]
