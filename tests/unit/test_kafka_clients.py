"""Every client of Kafka is made with the options of `app/kafka_client.py`: else it can't log in."""

from pathlib import Path

from tests.support.processes import ROOT

MADE = "AIOKafkaConsumer(", "AIOKafkaProducer(", "AIOKafkaAdminClient("


def made_in(file: Path) -> bool:
    return "embedded" not in file.parts and any(name in file.read_text() for name in MADE)


def makers() -> list[Path]:
    """But for the embedded server, which asks itself whether it is up."""
    files = (file for folder in ("app", "topologies") for file in (ROOT / folder).rglob("*.py"))
    return [file for file in files if made_in(file)]


def test_no_client_names_its_servers_itself() -> None:
    assert len(makers()) > 5
    wrong = [file.name for file in makers() if "bootstrap_servers" in file.read_text()]
    assert wrong == []
    assert [file.name for file in makers() if "client_options" not in file.read_text()] == []
