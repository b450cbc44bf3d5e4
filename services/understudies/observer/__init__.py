"""The observer: every event into the store, and a dataset for every student that is authorised."""

from understudies.observer.app import ObserverApp, create_app
from understudies.observer.reads import Spending, in_force, spending
from understudies.observer.settings import ObserverSettings
from understudies.observer.stored import stored_since, unstored

__all__ = [
    "ObserverApp",
    "ObserverSettings",
    "Spending",
    "create_app",
    "in_force",
    "spending",
    "stored_since",
    "unstored",
]
