"""GSSAPI on a real broker, with a real key distribution centre: the hub logs in by its keytab."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from deploy.services import kafka as service
from deploy.services.kafka import Cluster
from tests.support.kafka import need_kafka
from tests.support.kerberos import REALM, Realm, realm

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]  # it builds a package against Kerberos' headers at first
SCRIPT = """
import sys
from pathlib import Path
from hub.adapters import open_log
from hub.errors import DatongError
from hub.model import Topic
from hub.settings import load_settings
from tests.contracts.log_contract import at, contents, make_blocks
topic = "city.test.kerberos.v1"
try:
    log = open_log(load_settings(Path(sys.argv[1])).settings, Path(sys.argv[1]), lambda: 0)
except DatongError as error:
    sys.exit(f"{error.code}: {error}")
log.ensure(Topic(name=topic))
log.open("kerberos", 1).append(make_blocks(["a"], ["1"], topic=topic), at(1))
print([v for _, v in contents(log, topic)])
log.close()
"""


@pytest.fixture(scope="module")
def kdc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Realm]:
    with realm(tmp_path_factory.mktemp("kerberos") / "realm") as made:
        yield made


@pytest.fixture(scope="module")
def kafka_kerberos(kdc: Realm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    need_kafka()
    module = "com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true storeKey=true doNotPrompt=true"
    properties = {
        "sasl.enabled.mechanisms": "SCRAM-SHA-512,GSSAPI",
        "sasl.kerberos.service.name": "kafka",
        "listener.name.sasl_ssl.gssapi.sasl.jaas.config": (
            f'{module} keyTab="{kdc.keytab("kafka")}" principal="kafka/127.0.0.1@{REALM}";'
        ),
        "super.users": "User:admin;User:CN=broker;User:hub",
    }
    jvm = [f"-Djava.security.krb5.conf={kdc.configuration}"]
    folder = tmp_path_factory.mktemp("kafka") / "kerberos"
    cluster = service.start(folder, secure=True, properties=properties, jvm=jvm)
    yield cluster
    cluster.remove()


def project(cluster: Cluster, folder: Path, **settings: str) -> Path:
    lines = {
        "security_protocol": "SASL_SSL", "sasl_mechanism": "GSSAPI", "ca_file": str(cluster.ca_file), **settings,
    }  # fmt: skip
    kafka = "".join(f"  {k}: {v}\n" for k, v in lines.items())
    (folder / "datong.yaml").write_text(f"log:\n  url: kafka://{cluster.bootstrap}\nkafka:\n{kafka}")
    return folder


def run(folder: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder)],
        env={**os.environ, **environment}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_kerberos_by_a_keytab_works(kdc: Realm, kafka_kerberos: Cluster, tmp_path: Path) -> None:
    done = run(project(kafka_kerberos, tmp_path), kdc.environment())
    assert done.stdout.strip() == "[b'1']", done.stderr


def test_S16_kerberos_without_a_ticket_says_so(kdc: Realm, kafka_kerberos: Cluster, tmp_path: Path) -> None:
    environment = {
        **kdc.environment(),
        "KRB5_CLIENT_KTNAME": str(tmp_path / "none"),
        "KRB5CCNAME": f"FILE:{tmp_path}/no",
    }
    done = run(project(kafka_kerberos, tmp_path), environment)
    assert done.returncode == 1
    assert done.stderr.startswith("ConfigurationInvalid"), done.stderr
    assert "Kerberos" in done.stderr
    assert "KRB5_CLIENT_KTNAME" in done.stderr


def test_kerberos_with_another_service_name_says_so(kdc: Realm, kafka_kerberos: Cluster, tmp_path: Path) -> None:
    done = run(project(kafka_kerberos, tmp_path, kerberos_service="nobody"), kdc.environment())
    assert done.stderr.startswith("ConfigurationInvalid"), done.stderr
    assert "kafka.kerberos_service" in done.stderr


def test_kerberos_without_its_package_says_how_to_install_it(tmp_path: Path, kafka_kerberos: Cluster) -> None:
    done = run(project(kafka_kerberos, tmp_path), {"PYTHONPATH": str(Path(__file__).parents[2])})
    assert done.stderr.startswith("ConfigurationInvalid"), done.stderr
    assert "datong[kerberos]" in done.stderr
