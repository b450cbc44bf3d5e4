"""The observer: every event into the store, and a dataset for every student that is authorised."""

from understudies.observer.app import ObserverApp, create_app
from understudies.observer.reads import TaskSpending, fetch_latest_promotions, fetch_spending
from understudies.observer.settings import ObserverSettings
from understudies.observer.stored import missing_from_store, replay_since

__all__ = [
    "ObserverApp",
    "ObserverSettings",
    "TaskSpending",
    "create_app",
    "fetch_latest_promotions",
    "fetch_spending",
    "replay_since",
    "missing_from_store",
]
