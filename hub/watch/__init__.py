"""What flows, looked at once a second by the nodes that serve, and what a person should be told of it."""

from hub.watch.sample import ConnectorSample, Sample, SubscriptionSample, TopicSample
from hub.watch.sampler import Sampler, freshness_of
from hub.watch.watch import Watch

__all__ = ["ConnectorSample", "Sample", "Sampler", "SubscriptionSample", "TopicSample", "Watch", "freshness_of"]
