"""Whether nothing was lost or doubled: what came in, compared with topics, stores and receipts."""
