"""kafka-python's errors → the hub's, each with what to do. A library's text reaches nobody: it may quote settings."""

from __future__ import annotations

from kafka import errors as kafka

from hub.errors import ConfigurationInvalid, DatongError, LogBroken, LogUnavailable, NotFound, StorageFull

REFUSED: tuple[tuple[type[BaseException], str, str], ...] = (
    (
        kafka.SaslAuthenticationFailedError,
        "the broker refused the log-in",
        "check kafka.username, the password, and that the listener offers kafka.sasl_mechanism",
    ),
    (
        kafka.UnsupportedSaslMechanismError,
        "the broker does not offer this SASL mechanism",
        "set kafka.sasl_mechanism to one that its listener enables",
    ),
    (
        kafka.TopicAuthorizationFailedError,
        "the user may not use this topic",
        "grant READ, WRITE, DESCRIBE, CREATE and ALTER_CONFIGS on the topics to the hub's user",
    ),
    (
        kafka.TransactionalIdAuthorizationFailedError,
        "the user may not use the hub's transactional ids",
        "grant WRITE and DESCRIBE on transactional ids with the prefix `hub-`",
    ),
    (
        kafka.GroupAuthorizationFailedError,
        "the user may not show subscribers' groups",
        "grant READ on the groups to the hub's user; without it only Kafka's own tools miss them",
    ),
    (
        kafka.ClusterAuthorizationFailedError,
        "the user may not create topics or write idempotently",
        "grant CREATE and IDEMPOTENT_WRITE on the cluster to the hub's user",
    ),
)


class TokenUnavailable(kafka.KafkaConnectionError):  # type: ignore[misc]
    """The token server does not answer, or not with a token. Its argument is the name of the cause."""


TOO_LARGE = (kafka.MessageSizeTooLargeError, kafka.RecordListTooLargeError)


def translate(error: BaseException, where: str) -> DatongError:
    """The hub's error for one of kafka-python's. What is not known to be permanent may be tried again."""
    for kind, message, remedy in REFUSED:
        if isinstance(error, kind):
            return ConfigurationInvalid(message, where=where, remedy=remedy)
    if isinstance(error, kafka.UnknownTopicOrPartitionError):
        return NotFound(
            "the topic is not there any more", where=where, remedy="run the connector again to make it anew"
        )
    if isinstance(error, TOO_LARGE):
        return ConfigurationInvalid(
            "the broker refuses messages of this size",
            where=where,
            remedy="raise max.message.bytes of the topic (1.2 MB holds every block), or the broker's message.max.bytes",
        )
    if isinstance(error, kafka.KafkaStorageError):
        return StorageFull("a broker cannot write to its disk", where=where, remedy="free space on the broker")
    if isinstance(error, kafka.InvalidReplicationFactorError):
        return LogUnavailable(
            "fewer brokers are up than kafka.replication asks for copies", where=where,
            remedy="bring the brokers up, or lower kafka.replication (one broker has one copy)",
        )  # fmt: skip
    if isinstance(error, (kafka.NotEnoughReplicasError, kafka.NotEnoughReplicasAfterAppendError)):
        return LogUnavailable(
            "fewer replicas are in sync than min.insync.replicas asks for", where=where, remedy="bring a broker back"
        )
    if isinstance(error, kafka.CorruptRecordError):
        return LogBroken("a broker refuses the records as corrupt", where=where, remedy="report this with the logs")
    if isinstance(error, TokenUnavailable):
        return LogUnavailable(
            f"the token server gives no token ({error.args[0]})", where=where, remedy="see that kafka.token_url answers"
        )
    if is_kerberos(error):
        return ConfigurationInvalid(
            "Kerberos gave no ticket for the brokers' service", where=where,
            remedy="name the hub's keytab in the variable KRB5_CLIENT_KTNAME (or run kinit), and see that "
            "kafka.kerberos_service and the host in log.url are those of the brokers' principal",
        )  # fmt: skip
    name = type(error).__name__
    return LogUnavailable(f"Kafka did not answer as it should ({name})", where=where, remedy="see the broker's own log")


def is_kerberos(error: BaseException) -> bool:
    """An error of the gssapi package, which kafka-python lets through; the package may not be installed."""
    return type(error).__module__.partition(".")[0] == "gssapi"
