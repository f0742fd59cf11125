"""What tests of whole workers share: processes, a probe into Kafka, and waiting for conditions."""
