"""What flows, looked at once a second by the nodes that serve, and what a person should be told of it."""

from hub.watch.alerts import Thresholds
from hub.watch.desk import AlertDesk, Gatherer
from hub.watch.notify import Notifier
from hub.watch.sample import ConnectorSample, Sample, SubscriptionSample, TopicSample
from hub.watch.sampler import Sampler, freshness_of
from hub.watch.watch import Watch

__all__ = [
    "AlertDesk",
    "ConnectorSample",
    "Gatherer",
    "Notifier",
    "Sample",
    "Sampler",
    "SubscriptionSample",
    "Thresholds",
    "TopicSample",
    "Watch",
    "freshness_of",
]
