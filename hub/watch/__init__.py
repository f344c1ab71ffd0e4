"""What flows, looked at once a second by the nodes that serve, and what a person should be told of it."""

from hub.watch.alerts import Thresholds
from hub.watch.monitoring import Monitoring
from hub.watch.sample import ConnectorSample, Sample, SubscriptionSample, TopicSample
from hub.watch.sampler import Sampler
from hub.watch.watch import Watch
from hub.watch.watched import Watched

__all__ = [
    "ConnectorSample",
    "Monitoring",
    "Sample",
    "Sampler",
    "SubscriptionSample",
    "Thresholds",
    "TopicSample",
    "Watch",
    "Watched",
]
